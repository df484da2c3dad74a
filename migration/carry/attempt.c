/*
 * The identity of an attempt to migrate: a random number of the source, told to the destination
 * in four PINGs of the greeting.  Both sides then know a file that belongs to it.  Other emulators
 * send each cookie back as it is; Ferry says in its PONG that it has taken it.
 *
 * Sending belongs to the migration thread, taking to the incoming thread, the answers to the
 * return-path thread; it is constant on both sides before the guest moves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "hw/core/machine.h"
#include "migration/carry/carry.h"
#include "migration/postcopy-ram/dest-int.h"
#include "migration/ram.h"
#include "migration/savevm.h"
#include "migration/wire.h"
#include "util/util.h"

#define PARTS (CARRY_ATTEMPT_LEN / 3)
#define ALL_PARTS ((1 << PARTS) - 1)

static uint32_t part_get(const uint8_t *attempt, unsigned i)
{
    return attempt[3 * i] << 16 | attempt[3 * i + 1] << 8 | attempt[3 * i + 2];
}

static void part_set(uint8_t *attempt, unsigned i, uint32_t value)
{
    attempt[3 * i] = value >> 16;
    attempt[3 * i + 1] = value >> 8;
    attempt[3 * i + 2] = value;
}

/* Which part a cookie based on `base` is of, -1: none. */
static int part_of(uint32_t cookie, uint32_t base)
{
    uint32_t i = (cookie - base) >> WIRE_PING_ATTEMPT_SHIFT;

    return cookie >= base && i < PARTS ? (int)i : -1;
}

void carry_attempt_send(Migration *m)
{
    if (getrandom(m->attempt, sizeof(m->attempt), 0) != sizeof(m->attempt)) {
        g_error("the kernel has no random bytes: %s", g_strerror(errno));
    }
    for (uint32_t i = 0; i < PARTS; i++) {
        savevm_send_ping(m->out, WIRE_PING_ATTEMPT + (i << WIRE_PING_ATTEMPT_SHIFT) +
                                     part_get(m->attempt, i));
    }
}

void carry_attempt_pong(Migration *m, uint32_t cookie)
{
    int i = part_of(cookie, WIRE_PING_ATTEMPT_TAKEN);
    uint32_t low = cookie & ((1U << WIRE_PING_ATTEMPT_SHIFT) - 1);

    if (i >= 0 && low == part_get(m->attempt, i)) {
        __atomic_fetch_or(&m->attempt_parts, 1 << i, __ATOMIC_RELEASE);
    }
}

uint32_t carry_attempt_ping(Migration *m, uint32_t cookie)
{
    int i = part_of(cookie, WIRE_PING_ATTEMPT);

    if (i < 0 || !m->postcopy_dest || postcopy_dest_placing(m)) {
        return cookie;
    }
    part_set(m->attempt, i, cookie & ((1U << WIRE_PING_ATTEMPT_SHIFT) - 1));
    __atomic_fetch_or(&m->attempt_parts, 1 << i, __ATOMIC_RELEASE);
    return cookie - WIRE_PING_ATTEMPT + WIRE_PING_ATTEMPT_TAKEN;
}

bool carry_attempt_known(const Migration *m, Error **errp)
{
    if (__atomic_load_n(&m->attempt_parts, __ATOMIC_ACQUIRE) == ALL_PARTS) {
        return true;
    }
    error_setg(errp, "this migration has no identity that %s: files are for two Ferrys, a network "
               "for all others", m->source ? "the destination has taken" : "the source has told");
    return false;
}

/* ---- whose files they are ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const CarryBlock *)a)->name, ((const CarryBlock *)b)->name);
}

/* The i-th block that migrates, NULL: one without memory; past the last one: false. */
static bool nth_block(const Migration *m, unsigned i, const RAMBlock **ret_rb)
{
    const RAMBlock *rb;

    if (i >= (m->source ? m->ram->n_blocks : m->postcopy_dest->pmi->num_blocks)) {
        return false;
    }
    rb = m->source ? m->ram->blocks[i].rb : m->postcopy_dest->pmi->blocks[i].rb;
    *ret_rb = rb->used_length ? rb : NULL;
    return true;
}

CarryGuest *carry_guest_of(Migration *m, Error **errp)
{
    static const uint8_t none[16];
    const RAMBlock *rb;
    CarryGuest *g;
    unsigned n = 0;

    if (!carry_attempt_known(m, errp)) {
        return NULL;
    }
    for (unsigned i = 0; nth_block(m, i, &rb); i++) {
        n += rb != NULL;
    }
    g = carry_guest_new(m->attempt, vm_uuid_set ? vm_uuid : none,
                        current_machine ? current_machine->mc->name : "none", n);
    n = 0;
    for (unsigned i = 0; nth_block(m, i, &rb); i++) {
        if (rb) {
            carry_guest_set_block(g, n++, rb->idstr, rb->used_length, rb->page_size);
        }
    }
    /* The two sides may have made blocks of one size in another order. */
    qsort(g->blocks, n, sizeof(*g->blocks), by_name);
    return g;
}
