/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.reflection.v1 and its older name v1alpha: what services this node has, from wire/descriptors.h. */
#ifndef BERTH_NODE_REFLECTION_H
#define BERTH_NODE_REFLECTION_H

#include "net/grpc_server.h"

extern const struct grpc_method reflection_methods[];

#endif
