/* SPDX-License-Identifier: Apache-2.0 */
/* What this library is. */
#include <berth/version.h>

#include <berth_native.h>

const char *berth_version(void)
{
    return BERTH_VERSION;
}

const char *berth_engine_version(void)
{
    return berth_native_engine_version();
}
