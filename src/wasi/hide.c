/* SPDX-License-Identifier: Apache-2.0 */
/* See hide.h. A matcher of our own rather than fnmatch(3), whose answer depends on the locale of the process
 * and whose time on a hostile name can be exponential. */
#include "wasi/hide.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

struct hide_pattern {
    char *text; /* without leading and trailing slash */
    bool anchored;
    bool directories_only;
};

struct hide_rules {
    size_t n_patterns;
    struct hide_pattern patterns[];
};

static int folded(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* The end of the bracket expression that starts at pattern[0] == '[', or NULL if it is not closed in this
 * component. A ']' right after the opening is a member. */
static const char *bracket_end(const char *pattern)
{
    const char *p = pattern + 1;
    if (*p == '!' || *p == '^')
        p++;
    if (*p == ']')
        p++;
    while (*p && *p != '/' && *p != ']')
        p++;
    return *p == ']' ? p : NULL;
}

static bool bracket_matches(const char *pattern, const char *end, unsigned char c)
{
    const char *p = pattern + 1;
    bool negated = *p == '!' || *p == '^';
    bool found = false;
    if (negated)
        p++;
    while (p < end) {
        unsigned char low = (unsigned char)*p++;
        unsigned char high = low;
        if (*p == '-' && p + 1 < end) {
            high = (unsigned char)p[1];
            p += 2;
        }
        found |= (c >= low && c <= high) || (folded(c) >= folded(low) && folded(c) <= folded(high));
    }
    return found != negated;
}

/* Whether the one component [pattern, pattern_end) matches [name, name_end). Backtracks to the last star
 * only, which is enough, so the time is the product of the lengths at most. */
static bool component_matches(const char *pattern, const char *pattern_end, const char *name,
                              const char *name_end)
{
    const char *star = NULL, *star_name = NULL;
    while (name < name_end) {
        const char *next = pattern + 1;
        bool matched = false;
        if (pattern < pattern_end && *pattern == '*') {
            star = pattern++;
            star_name = name;
            continue;
        }
        if (pattern < pattern_end && *pattern == '?') {
            matched = true;
        } else if (pattern < pattern_end && *pattern == '[') {
            const char *end = bracket_end(pattern);
            matched = bracket_matches(pattern, end, (unsigned char)*name);
            next = end + 1;
        } else if (pattern < pattern_end) {
            if (*pattern == '\\' && next < pattern_end)
                pattern = next++;
            matched = folded((unsigned char)*pattern) == folded((unsigned char)*name);
        }
        if (matched) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (pattern < pattern_end && *pattern == '*')
        pattern++;
    return pattern == pattern_end;
}

static const char *component_end(const char *path, const char *end)
{
    const char *slash = memchr(path, '/', (size_t)(end - path));
    return slash ? slash : end;
}

/* The end of the shortest part of [path, path_end), from its start, that the pattern matches as a whole; NULL
 * if there is none. Remembers the last "**" only: what stands between two of them is as long wherever it
 * matches, so the first place is the best. */
static const char *anchored_match(const char *pattern, const char *path, const char *path_end)
{
    const char *pattern_end = pattern + strlen(pattern);
    const char *stars = NULL, *stars_path = NULL;
    while (path < path_end) {
        const char *p_end = component_end(pattern, pattern_end);
        const char *n_end = component_end(path, path_end);
        bool any = p_end - pattern == 2 && memcmp(pattern, "**", 2) == 0;
        bool matched = any || component_matches(pattern, p_end, path, n_end);
        if (matched && p_end == pattern_end)
            return n_end;
        if (any) {
            pattern = stars = p_end + 1;
            stars_path = path;
        } else if (matched) {
            pattern = p_end + 1;
            path = n_end < path_end ? n_end + 1 : path_end;
        } else if (stars) {
            const char *skipped = component_end(stars_path, path_end);
            path = stars_path = skipped < path_end ? skipped + 1 : path_end;
            pattern = stars;
        } else {
            return NULL;
        }
    }
    return NULL;
}

/* The same for a pattern that matches a component wherever it is. */
static const char *loose_match(const char *pattern, const char *path, const char *path_end)
{
    const char *pattern_end = pattern + strlen(pattern);
    while (path < path_end) {
        const char *n_end = component_end(path, path_end);
        if (component_matches(pattern, pattern_end, path, n_end))
            return n_end;
        path = n_end < path_end ? n_end + 1 : path_end;
    }
    return NULL;
}

/* What is below something hidden is hidden, so it is enough to know where the first match ends. */
bool hide_matches(const struct hide_rules *rules, const char *path, enum hide_kind kind)
{
    const char *path_end = path + strlen(path);
    for (size_t i = 0; rules && i < rules->n_patterns; i++) {
        const struct hide_pattern *pattern = &rules->patterns[i];
        const char *end = pattern->anchored ? anchored_match(pattern->text, path, path_end)
                                            : loose_match(pattern->text, path, path_end);
        if (end && (end < path_end || kind != HIDE_OTHER || !pattern->directories_only))
            return true;
    }
    return false;
}

bool hide_has_anchors(const struct hide_rules *rules)
{
    for (size_t i = 0; rules && i < rules->n_patterns; i++)
        if (rules->patterns[i].anchored)
            return true;
    return false;
}

/* Whether every component can match something. */
static bool pattern_valid(const char *text)
{
    for (const char *end, *p = text;; p = end + 1) {
        end = p + strcspn(p, "/");
        size_t length = (size_t)(end - p);
        if (!length || (length == 1 && *p == '.') || (length == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (const char *c = p; c < end; c++) {
            if (*c == '[' && !(c = bracket_end(c)))
                return false;
            if (*c == '\\')
                c++;
            if (c >= end)
                return false;
        }
        if (!*end)
            return true;
    }
}

static int pattern_init(struct hide_pattern *pattern, const char *text)
{
    size_t length = strlen(text);
    if (*text == '!')
        return -EINVAL;
    if (length && text[length - 1] == '/') {
        pattern->directories_only = true;
        length--;
    }
    if (length && *text == '/') {
        pattern->anchored = true;
        text++;
        length--;
    }
    pattern->text = strndup(text, length);
    if (!pattern->text)
        return -ENOMEM;
    if (strchr(pattern->text, '/'))
        pattern->anchored = true;
    return pattern_valid(pattern->text) ? 0 : -EINVAL;
}

DEFINE_CLEANUP(struct hide_rules *, hide_rules_free)

int hide_rules_new(const char *const *patterns, size_t n_patterns, struct hide_rules **ret)
{
    if (!n_patterns) {
        *ret = NULL;
        return 0;
    }
    cleanup(hide_rules_free_cleanup) struct hide_rules *rules =
        calloc(1, sizeof *rules + n_patterns * sizeof rules->patterns[0]);
    if (!rules)
        return -ENOMEM;
    for (size_t i = 0; i < n_patterns; i++) {
        rules->n_patterns = i + 1;
        int r = pattern_init(&rules->patterns[i], patterns[i]);
        if (r)
            return r;
    }
    *ret = take_ptr(rules);
    return 0;
}

void hide_rules_free(struct hide_rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->n_patterns; i++)
        free(rules->patterns[i].text);
    free(rules);
}
