/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of RFC 8259 as a recogniser: a place in the text, and functions that move it over one thing. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"

struct place {
    const char *at, *end;
    int depth;
};

static bool value(struct place *place);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct place *place)
{
    return place->at < place->end ? *place->at : '\0';
}

static bool take(struct place *place, char c)
{
    if (peek(place) != c || place->at == place->end)
        return false;
    place->at++;
    return true;
}

static void space(struct place *place)
{
    while (place->at < place->end && memchr(" \t\n\r", *place->at, 4))
        place->at++;
}

static bool word(struct place *place, const char *letters)
{
    size_t length = strlen(letters);
    if ((size_t)(place->end - place->at) < length || memcmp(place->at, letters, length) != 0)
        return false;
    place->at += length;
    return true;
}

static bool digits(struct place *place)
{
    const char *start = place->at;
    while (is_digit(peek(place)))
        place->at++;
    return place->at > start;
}

static bool number(struct place *place)
{
    take(place, '-');
    if (!take(place, '0') && !digits(place))
        return false;
    if (take(place, '.') && !digits(place))
        return false;
    if (!take(place, 'e') && !take(place, 'E'))
        return true;
    if (!take(place, '+'))
        take(place, '-');
    return digits(place);
}

static bool hex4(struct place *place)
{
    for (int i = 0; i < 4; i++) {
        char c = peek(place);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
            return false;
        place->at++;
    }
    return true;
}

static bool escape(struct place *place)
{
    if (take(place, 'u'))
        return hex4(place);
    if (place->at == place->end || !memchr("\"\\/bfnrt", *place->at, 8))
        return false;
    place->at++;
    return true;
}

static bool string(struct place *place)
{
    if (!take(place, '"'))
        return false;
    while (place->at < place->end) {
        unsigned char c = (unsigned char)*place->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !escape(place)))
            return false;
    }
    return false;
}

static bool member(struct place *place)
{
    space(place);
    if (!string(place))
        return false;
    space(place);
    return take(place, ':') && value(place);
}

/* The elements of an array or the members of an object, behind the opening bracket. */
static bool list(struct place *place, char close, bool (*element)(struct place *place))
{
    space(place);
    if (take(place, close))
        return true;
    do {
        if (!element(place))
            return false;
        space(place);
    } while (take(place, ','));
    return take(place, close);
}

static bool nested(struct place *place, char close, bool (*element)(struct place *place))
{
    if (place->depth++ == JSON_NESTING_MAX)
        return false;
    bool good = list(place, close, element);
    place->depth--;
    return good;
}

/* With the white space before it. */
static bool value(struct place *place)
{
    space(place);
    if (take(place, '{'))
        return nested(place, '}', member);
    if (take(place, '['))
        return nested(place, ']', value);
    if (peek(place) == '"')
        return string(place);
    return word(place, "true") || word(place, "false") || word(place, "null") || number(place);
}

bool json_is_valid(const char *text, size_t length)
{
    struct place place = {.at = text, .end = text + length};
    if (!text_is_utf8(text, length) || !value(&place))
        return false;
    space(&place);
    return place.at == place.end;
}
