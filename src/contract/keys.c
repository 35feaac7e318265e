/* SPDX-License-Identifier: Apache-2.0 */
/* See keys.h. */
#include "contract/keys.h"

#include <math.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/json.h"
#include "contract/contract.h"

#define MIB UINT64_C(1048576)

enum { NEVER_OFF = 0, ZERO_IS_OFF = 1 };

static const char *const clock_words[] = {
    [BERTH_CLOCK_NONE] = "none", [BERTH_CLOCK_COARSE] = "coarse", [BERTH_CLOCK_FINE] = "fine", NULL};
static const char *const random_words[] = {
    [BERTH_RANDOM_NONE] = "none", [BERTH_RANDOM_SEEDED] = "seeded", [BERTH_RANDOM_OS] = "os", NULL};
static const char *const mode_words[] = {[false] = "read", [true] = "write", NULL};

#define PATH_TOP    ""
#define PATH_LIMITS "limits."
#define PATH_GRANTS "grants."
#define PATH_MOUNT  "grants.mount."

#define OBJECT_TOP    struct berth_contract
#define OBJECT_LIMITS struct berth_contract
#define OBJECT_GRANTS struct berth_contract
#define OBJECT_MOUNT  struct berth_mount

#define ROW(section_, name_, kind_, storage_, doc_, ...)          \
    [KEY_##section_##_##name_] = {.section = SECTION_##section_,  \
                                  .name = #name_,                 \
                                  .path = PATH_##section_ #name_, \
                                  .kind = KIND_##kind_,           \
                                  .storage = STORAGE_##storage_,  \
                                  .doc = doc_,                    \
                                  __VA_ARGS__},

#define OFFSET(section_, member_) offsetof(OBJECT_##section_, member_)

#define NUMBER(section_, name_, member_, storage_, unit_, per_unit_, step_, off_, default_, minimum_, \
               maximum_, doc_)                                                                        \
    ROW(section_, name_, NUMBER, storage_, doc_, .offset = OFFSET(section_, member_), .unit = unit_,  \
        .per_unit = per_unit_, .step = step_, .zero_is_off = off_, .default_text = #default_,         \
        .minimum_text = #minimum_, .minimum = (uint64_t)((minimum_) * (per_unit_)),                   \
        .maximum_text = #maximum_, .maximum = (uint64_t)(maximum_) * (per_unit_))
#define FLAG(section_, name_, member_, narrowing_, default_, doc_)                          \
    ROW(section_, name_, FLAG, BOOL, doc_, .offset = OFFSET(section_, member_), .unit = "", \
        .narrowing = NARROW_##narrowing_, .default_text = #default_)
#define CHOICE(section_, name_, member_, storage_, words_, default_, doc_)                        \
    ROW(section_, name_, CHOICE, storage_, doc_, .offset = OFFSET(section_, member_), .unit = "", \
        .words = words_, .default_text = #default_)
#define LIST(section_, name_, doc_) \
    ROW(section_, name_, LIST, NONE, doc_, .unit = "", .default_text = "[]", .narrowing = NARROW_NOT)
#define TEXT(section_, name_, doc_) \
    ROW(section_, name_, TEXT, NONE, doc_, .unit = "", .default_text = "", .narrowing = NARROW_NOT)

const struct contract_key contract_keys[CONTRACT_KEYS] = {
#include "contract/keys.def"
};

bool contract_key_is_scalar(const struct contract_key *key)
{
    return key->kind == KIND_NUMBER || key->kind == KIND_FLAG || key->kind == KIND_CHOICE;
}

const struct contract_key *contract_key_find(const char *path)
{
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (strcmp(contract_keys[i].path, path) == 0)
            return &contract_keys[i];
    return NULL;
}

const struct contract_key *contract_key_find_in(enum contract_section section, const char *name)
{
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section == section && strcmp(contract_keys[i].name, name) == 0)
            return &contract_keys[i];
    return NULL;
}

const char *contract_key_nearest_path(const char *path)
{
    const char *paths[CONTRACT_KEYS + 1], *names[CONTRACT_KEYS + 1];
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        paths[i] = contract_keys[i].path;
        names[i] = contract_keys[i].name;
    }
    paths[CONTRACT_KEYS] = names[CONTRACT_KEYS] = NULL;
    const char *nearest = text_nearest(path, paths);
    if (nearest)
        return nearest;
    const char *name = text_nearest(path, names);
    for (size_t i = 0; name && i < CONTRACT_KEYS; i++)
        if (names[i] == name)
            return paths[i];
    return NULL;
}

const char *contract_key_nearest(enum contract_section section, const char *name)
{
    const char *names[CONTRACT_KEYS + 3];
    size_t n = 0;
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section == section)
            names[n++] = contract_keys[i].name;
    if (section == SECTION_TOP) {
        names[n++] = "limits";
        names[n++] = "grants";
    }
    names[n] = NULL;
    const char *nearest = text_nearest(name, names);
    return nearest ? nearest : contract_key_nearest_path(name);
}

uint64_t contract_key_get(const struct contract_key *key, const void *object)
{
    const void *member = (const char *)object + key->offset;
    switch (key->storage) {
    case STORAGE_BOOL:
        return *(const bool *)member;
    case STORAGE_ENUM:
        return *(const unsigned *)member;
    case STORAGE_U32:
        return *(const uint32_t *)member;
    case STORAGE_U64:
        return *(const uint64_t *)member;
    case STORAGE_RATE:
        return (uint64_t)llround(*(const double *)member * (double)key->per_unit);
    case STORAGE_NONE:
        break;
    }
    return 0;
}

void contract_key_set(const struct contract_key *key, void *object, uint64_t value)
{
    void *member = (char *)object + key->offset;
    switch (key->storage) {
    case STORAGE_BOOL:
        *(bool *)member = value;
        break;
    case STORAGE_ENUM:
        *(unsigned *)member = (unsigned)value;
        break;
    case STORAGE_U32:
        *(uint32_t *)member = (uint32_t)value;
        break;
    case STORAGE_U64:
        *(uint64_t *)member = value;
        break;
    case STORAGE_RATE:
        *(double *)member = (double)value / (double)key->per_unit;
        break;
    case STORAGE_NONE:
        break;
    }
}

/* A written number in the unit of the member, rounded to the nearest; false if there is none. */
static bool scale(const struct contract_key *key, const json_t *written, uint64_t *ret_value)
{
    const double too_large = 9223372036854775808.0; /* 2^63 */
    if (json_is_integer(written)) {
        json_int_t integer = json_integer_value(written);
        return integer >= 0 && checked_mul_u64((uint64_t)integer, key->per_unit, ret_value);
    }
    double number = json_real_value(written);
    double scaled = round(number * (double)key->per_unit);
    if (!json_is_real(written) || !(number >= 0) || !(scaled < too_large))
        return false;
    if ((key->per_unit == 1 && trunc(number) != number) || (number > 0 && scaled < 1))
        return false;
    *ret_value = (uint64_t)scaled;
    return true;
}

static bool read_number(const struct contract_key *key, const json_t *written, uint64_t *ret_value)
{
    uint64_t value;
    if (!scale(key, written, &value))
        return false;
    if (value == 0 && key->zero_is_off) {
        *ret_value = 0;
        return true;
    }
    if (value < key->minimum || value > key->maximum)
        return false;
    *ret_value = value - value % key->step;
    return true;
}

static bool read_choice(const struct contract_key *key, const json_t *written, uint64_t *ret_value)
{
    const char *word = json_text(written);
    for (uint64_t i = 0; word && key->words[i]; i++)
        if (strcmp(key->words[i], word) == 0) {
            *ret_value = i;
            return true;
        }
    return false;
}

bool contract_key_read(const struct contract_key *key, const json_t *written, uint64_t *ret_value)
{
    switch (key->kind) {
    case KIND_NUMBER:
        return read_number(key, written, ret_value);
    case KIND_FLAG:
        *ret_value = json_is_true(written);
        return json_is_boolean(written);
    case KIND_CHOICE:
        return read_choice(key, written, ret_value);
    case KIND_LIST:
    case KIND_TEXT:
        break;
    }
    return false;
}

/* The number with the fewest digits that is read as this value again: 0.1 MiB, not 0.100000381469727. */
static double shortest(const struct contract_key *key, uint64_t value)
{
    double exact = (double)value / (double)key->per_unit;
    for (int digits = 1; digits < 15; digits++) {
        char rounded[32];
        snprintf(rounded, sizeof(rounded), "%.*e", digits - 1, exact);
        double number = strtod(rounded, NULL);
        if ((uint64_t)round(number * (double)key->per_unit) == value)
            return number;
    }
    return exact;
}

json_t *contract_key_write(const struct contract_key *key, uint64_t value)
{
    if (key->kind == KIND_FLAG)
        return json_boolean(value);
    if (key->kind == KIND_CHOICE)
        return json_string(key->words[value]);
    if (value % key->per_unit == 0)
        return json_integer((json_int_t)(value / key->per_unit));
    return json_number(shortest(key, value));
}

void contract_key_append_value(const struct contract_key *key, uint64_t value, struct text *text)
{
    cleanup_json json_t *written = contract_key_write(key, value);
    cleanup_free char *line = written ? json_write(written, 0) : NULL;
    if (line)
        text_append(text, line);
    else
        text->failed = true;
}

void contract_key_append_value_for_person(const struct contract_key *key, uint64_t value, struct text *text)
{
    if (key->kind == KIND_CHOICE) {
        text_append(text, key->words[value]);
    } else if (key->zero_is_off && value == 0) {
        text_append(text, "off");
    } else {
        contract_key_append_value(key, value, text);
        if (*key->unit)
            text_append_format(text, "%s%s", key->unit[0] == '/' ? "" : " ", key->unit);
    }
}

void contract_key_append_requirement(const struct contract_key *key, struct text *text)
{
    switch (key->kind) {
    case KIND_NUMBER:
        text_append_format(text, "%s%s from %s to %s", key->zero_is_off ? "0 (off) or " : "",
                           key->per_unit == 1 ? "a whole number" : "a number", key->minimum_text,
                           key->maximum_text);
        if (*key->unit)
            text_append_format(text, " (%s)", key->unit);
        break;
    case KIND_FLAG:
        text_append(text, "true or false");
        break;
    case KIND_CHOICE:
        for (size_t i = 0; key->words[i]; i++)
            text_append_format(text, "%s\"%s\"",
                               i == 0              ? ""
                               : key->words[i + 1] ? ", "
                                                   : " or ",
                               key->words[i]);
        break;
    case KIND_LIST:
        text_append(text, key == &contract_keys[KEY_GRANTS_mount]
                              ? "a list of tables, [[grants.mount]]"
                              : "a list of texts, such as [\"one\", \"two\"]");
        break;
    case KIND_TEXT:
        text_append(text, "text in quotes");
        break;
    }
}

uint64_t contract_key_narrow(const struct contract_key *key, uint64_t a, uint64_t b)
{
    uint64_t smaller = a < b ? a : b, larger = a < b ? b : a;
    if (key->narrowing == NARROW_LARGER || (key->zero_is_off && smaller == 0))
        return larger;
    return smaller;
}
