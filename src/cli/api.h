/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup words for the objects of the public interface. */
#ifndef BERTH_CLI_API_H
#define BERTH_CLI_API_H

#include <berth/berth.h>

#include "base/cleanup.h"
#include "base/error.h"

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

#endif
