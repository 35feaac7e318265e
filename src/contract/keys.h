/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a contract as data: one row of keys.def each, and what can be done with any of them.
 *
 * A scalar value (number, flag or choice) is a uint64_t here, whatever its member's type: a number in the
 * unit of the member (a rate: thousandths), a flag as 0 or 1, a choice as the index of its word. Larger means
 * wider for all of them, except that 0 is the widest where it means "off".
 */
#ifndef BERTH_CONTRACT_KEYS_H
#define BERTH_CONTRACT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/text.h"

enum contract_section {
    SECTION_TOP,
    SECTION_LIMITS,
    SECTION_GRANTS,
    SECTION_MOUNT, /* one of [[grants.mount]]; members of struct berth_mount, all others of struct
                      berth_contract */
};

enum contract_kind {
    KIND_NUMBER,
    KIND_FLAG,
    KIND_CHOICE,
    KIND_LIST,
    KIND_TEXT,
};

enum contract_storage {
    STORAGE_BOOL,
    STORAGE_ENUM,
    STORAGE_U32,
    STORAGE_U64,
    STORAGE_RATE, /* a double */
    STORAGE_NONE, /* lists and texts */
};

enum contract_narrowing {
    NARROW_SMALLER,
    NARROW_LARGER,
    NARROW_NOT, /* lists and texts: contract_narrow.c */
};

struct contract_key {
    const char *name; /* "memory_mb" */
    const char *path; /* "limits.memory_mb" */
    const char *unit; /* "MiB" or "" */
    const char *doc;
    const char *default_text; /* as in a file, "\"coarse\""; "" if there is none */
    const char *minimum_text; /* numbers only, as in keys.def */
    const char *maximum_text;
    const char *const *words; /* choices only; ends with NULL */
    uint64_t per_unit;
    uint64_t step;
    uint64_t minimum;
    uint64_t maximum;
    size_t offset;
    enum contract_section section;
    enum contract_kind kind;
    enum contract_storage storage;
    enum contract_narrowing narrowing;
    bool zero_is_off;
};

/* The index of a row: KEY_LIMITS_memory_mb. */
enum contract_key_id {
#define NUMBER(section, name, ...) KEY_##section##_##name,
#define FLAG(section, name, ...)   KEY_##section##_##name,
#define CHOICE(section, name, ...) KEY_##section##_##name,
#define LIST(section, name, ...)   KEY_##section##_##name,
#define TEXT(section, name, ...)   KEY_##section##_##name,
#include "contract/keys.def"
#undef NUMBER
#undef FLAG
#undef CHOICE
#undef LIST
#undef TEXT
    CONTRACT_KEYS
};

extern const struct contract_key contract_keys[CONTRACT_KEYS];

/* Whether the value is a uint64_t as described above. */
bool contract_key_is_scalar(const struct contract_key *key);

/* NULL if there is none. */
const struct contract_key *contract_key_find(const char *path);
const struct contract_key *contract_key_find_in(enum contract_section section, const char *name);

/* What an unknown name was probably meant to be: a path, or NULL. */
const char *contract_key_nearest_path(const char *path);
/* The same for a name in a section: a name of that section, or else the path of a key in another one. */
const char *contract_key_nearest(enum contract_section section, const char *name);

/* The value of a scalar member of the struct that the key's section names. */
uint64_t contract_key_get(const struct contract_key *key, const void *object);
void contract_key_set(const struct contract_key *key, void *object, uint64_t value);

/* The value that a file gives a scalar key; false if it is not what contract_key_append_requirement() says.
 */
bool contract_key_read(const struct contract_key *key, const json_t *written, uint64_t *ret_value);
/* The other way; NULL if memory is short. */
json_t *contract_key_write(const struct contract_key *key, uint64_t value);

/* The value as in a file (`256`, `"coarse"`; valid TOML and JSON) and for a person (`256 MiB`, `off`,
 * `coarse`). */
void contract_key_append_value(const struct contract_key *key, uint64_t value, struct text *text);
void contract_key_append_value_for_person(const struct contract_key *key, uint64_t value, struct text *text);

/* What a file may say: "a number from 1 to 4096 (MiB)". For any kind. */
void contract_key_append_requirement(const struct contract_key *key, struct text *text);

/* The value that gives no more than either. */
uint64_t contract_key_narrow(const struct contract_key *key, uint64_t a, uint64_t b);

#endif
