/* SPDX-License-Identifier: Apache-2.0 */
/* What this library is, at compile time and at run time. */
#ifndef BERTH_VERSION_H
#define BERTH_VERSION_H

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_VERSION "0.1.0"

/* The version of the library that is loaded, for example "0.1.0". */
BERTH_API const char *berth_version(void);

/* The version of Wasmtime inside, for example "48.0.8". */
BERTH_API const char *berth_engine_version(void);

#ifdef __cplusplus
}
#endif

#endif
