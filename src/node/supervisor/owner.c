/* SPDX-License-Identifier: Apache-2.0 */
/* See owner.h. */
#include "node/supervisor/owner.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/json.h"
#include "wire/hash.h"

int owner_token_new(char ret[static OWNER_TOKEN_CHARACTERS])
{
    uint8_t bytes[(OWNER_TOKEN_CHARACTERS - 1) / 2];
    int r = random_bytes(bytes, sizeof(bytes));
    if (r == 0)
        hex_write(bytes, sizeof(bytes), ret);
    explicit_bzero(bytes, sizeof(bytes));
    return r;
}

static json_t *names_of_capabilities(const struct settings *settings)
{
    json_t *names = json_array();
    for (size_t i = 0; i < settings->n_capabilities; i++)
        json_array_append_new(names, json_string(settings->capabilities[i].name));
    return names;
}

/* As somebody would write it in berth.toml, so that it gets what follows from the rest like any other. */
static char *document(const struct settings *settings, const char *token)
{
    uint8_t digest[HASH_BYTES];
    char digits[HASH_CHARACTERS];
    hash_of(token, strlen(token), digest);
    hex_write(digest, sizeof(digest), digits);
    cleanup_json json_t *written =
        json_pack("{s:[{s:s, s:[s], s:o}]}", "principal", "name", OWNER_NAME, "token_sha256", digits,
                  "capabilities", names_of_capabilities(settings));
    return written ? json_write(written, 0) : NULL;
}

berth_status owner_add(struct settings *settings, const char *token, berth_error **reterr)
{
    cleanup_free char *text = document(settings, token);
    if (!text)
        return error_set_errno(reterr, -ENOMEM, "the owner cannot be added");
    berth_status status = settings_read(settings, text, strlen(text), "berth", reterr);
    return status == BERTH_OK ? settings_complete(settings, reterr) : status;
}
