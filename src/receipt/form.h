/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a receipt of version 1: which members it has, and of which kind. */
#ifndef BERTH_RECEIPT_FORM_H
#define BERTH_RECEIPT_FORM_H

#include <jansson.h>

/* 0; -EINVAL with a sentence that names the member and is safe to print, which the caller frees; -ENOMEM. */
int receipt_form_check(const json_t *root, char **reterr_message);

#endif
