/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a mount that a guest must not see: a subset of gitignore's patterns.
 *
 *   *.key       without an inner slash: matches the name of any component
 *   /notes.txt  with a leading or inner slash: anchored, matches from the root of the mount
 *   private/    with a trailing slash: directories only
 *   a/ ** /b    "**" as a whole component: any number of components (written without blanks)
 *
 * In a component * and ? and [a-z] [!a-z] match as in a shell, \ takes the next character as it is. Letters
 * match regardless of ASCII case, because some file systems ignore case and hiding too much is the safe side.
 * What lies below a hidden directory is hidden. There is no negation ("!" is refused).
 */
#ifndef BERTH_WASI_HIDE_H
#define BERTH_WASI_HIDE_H

#include <stdbool.h>
#include <stddef.h>

struct hide_rules;

/* What the last component of a path is. */
enum hide_kind {
    HIDE_OTHER,     /* not a directory */
    HIDE_DIRECTORY, /* a directory */
    HIDE_ANY,       /* not there yet: hidden if it would be as either */
};

/* 0, -ENOMEM, or -EINVAL for an empty pattern, a negation, a "." or ".." component, or an unclosed bracket.
 * No patterns give NULL. */
int hide_rules_new(const char *const *patterns, size_t n_patterns, struct hide_rules **ret);
void hide_rules_free(struct hide_rules *rules);

/* Whether `path` is hidden: relative to the root of the mount, components separated by one slash, no "." and
 * "..", "" for the root itself (which is never hidden). `rules` may be NULL. */
bool hide_matches(const struct hide_rules *rules, const char *path, enum hide_kind kind);

/* Whether a rule depends on where a directory is, so that moving directories would reveal what is hidden. */
bool hide_has_anchors(const struct hide_rules *rules);

#endif
