/*
 * POSTCOPY_RAM_DISCARD: what the source sends before the switch, and what it does to
 * the destination's memory.  The payload's form is in wire.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_DISCARD_H
#define FERRY_MIGRATION_POSTCOPY_DISCARD_H

#include "migration/postcopy-ram/pmi.h"
#include "migration/wire.h"

/*
 * Call send(opaque, payload, len) for each command that `ranges` (of WireRange) of the
 * block need; a command never holds ranges of two blocks.
 */
typedef void DiscardSendFn(void *opaque, const uint8_t *payload, size_t len);
void discard_send(const char *block, const GArray *ranges, DiscardSendFn *send, void *opaque);

/*
 * Do what a payload says: drop its ranges from the memory of its block and from the
 * page map.  All of them or, when the payload is malformed or a range is not made of
 * whole host pages of the block, none.
 */
bool discard_apply(Pmi *pmi, const uint8_t *payload, size_t len, Error **errp);

#endif
