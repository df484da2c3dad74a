/*
 * Discard ranges.  Sending runs in the source's migration thread, applying in the
 * destination's incoming thread, before a listen thread exists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/discard.h"

#include <inttypes.h>
#include <string.h>

#include "trace/migration.h"

void discard_send(const char *block, const GArray *ranges, DiscardSendFn *send, void *opaque)
{
    uint8_t payload[WIRE_DISCARD_BUF];

    for (unsigned i = 0; i < ranges->len; i += WIRE_DISCARD_MAX_RANGES) {
        unsigned n = MIN(ranges->len - i, WIRE_DISCARD_MAX_RANGES);
        const WireRange *first = &g_array_index(ranges, WireRange, i);

        send(opaque, payload, wire_discard_encode(payload, block, first, n));
    }
}

static PmiBlock *find_by_name(Pmi *pmi, const char *name)
{
    for (unsigned i = 0; i < pmi->num_blocks; i++) {
        if (!strcmp(pmi->blocks[i].rb->idstr, name)) {
            return &pmi->blocks[i];
        }
    }
    return NULL;
}

static bool range_ok(const PmiBlock *b, WireRange r, Error **errp)
{
    uint64_t page = b->rb->page_size;

    if (r.length && r.start < b->length && r.length <= b->length - r.start && !(r.start % page) &&
        !(r.length % page)) {
        return true;
    }
    error_setg(errp,
               "discard: range 0x%" PRIx64 "+0x%" PRIx64 " is not made of pages of 0x%" PRIx64
               " bytes inside block '%s' of 0x%" PRIx64 " bytes",
               r.start, r.length, page, b->rb->idstr, b->length);
    return false;
}

bool discard_apply(Pmi *pmi, const uint8_t *payload, size_t len, Error **errp)
{
    char name[256];
    size_t n = wire_discard_decode(payload, len, name, errp);
    PmiBlock *b;

    if (!n) {
        return false;
    }
    b = find_by_name(pmi, name);
    if (!b) {
        error_setg(errp, "discard: there is no RAM block '%s'", name);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!range_ok(b, wire_discard_range(payload, i), errp)) {
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        WireRange r = wire_discard_range(payload, i);

        trace_postcopy_discard(name, r.start, r.length);
        if (!ramblock_discard(b->rb, r.start, r.length, errp)) {
            return false;
        }
        pmi_discard(pmi, b, r.start, r.length);
    }
    return true;
}
