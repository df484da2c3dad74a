/*
 * The queue of pages that the destination waits for.
 *
 * No thread of its own: the return-path thread pushes, the migration thread pops; the
 * queue has its own lock, which is a leaf.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include "ram.h"
#include "trace/migration.h"

/* Each thread that touches guest memory over there can wait for one page. */
#define URGENT_MAX 65536

typedef struct UrgentRequest {
    RamSourceBlock *b;
    uint64_t page, n;
} UrgentRequest;

void urgent_init(RamSource *r)
{
    g_mutex_init(&r->urgent_lock);
    g_queue_init(&r->urgent);
}

void urgent_forget(RamSource *r)
{
    g_mutex_lock(&r->urgent_lock);
    g_queue_clear_full(&r->urgent, g_free);
    stat_set(r->urgent_waiting, 0);
    g_mutex_unlock(&r->urgent_lock);
}

void urgent_clear(RamSource *r)
{
    g_queue_clear_full(&r->urgent, g_free);
    g_mutex_clear(&r->urgent_lock);
}

void urgent_push(Migration *m, RamSourceBlock *b, uint64_t start, uint64_t len)
{
    RamSource *r = m->ram;
    UrgentRequest *req = g_new(UrgentRequest, 1);

    *req = (UrgentRequest){ b, start >> TARGET_PAGE_BITS, len >> TARGET_PAGE_BITS };
    trace_ram_urgent_push(b->rb->idstr, start, len);
    stat_add(m->stats.postcopy_requests, 1);
    g_mutex_lock(&r->urgent_lock);
    g_queue_push_tail(&r->urgent, req);
    stat_set(r->urgent_waiting, 1);
    g_mutex_unlock(&r->urgent_lock);
    src_wake(m);
}

bool urgent_full(RamSource *r)
{
    bool full;

    g_mutex_lock(&r->urgent_lock);
    full = g_queue_get_length(&r->urgent) >= URGENT_MAX;
    g_mutex_unlock(&r->urgent_lock);
    return full;
}

bool urgent_next(RamSource *r, PageRun *ret_run)
{
    bool found = false;

    if (!stat_get(r->urgent_waiting)) {
        return false;
    }
    g_mutex_lock(&r->urgent_lock);
    while (!found && !g_queue_is_empty(&r->urgent)) {
        UrgentRequest *req = g_queue_peek_head(&r->urgent);

        found = dirty_take(r, req->b, req->page, req->n, ret_run);
        if (!found || ret_run->page + ret_run->n == req->page + req->n) {
            g_free(g_queue_pop_head(&r->urgent));
        }
    }
    stat_set(r->urgent_waiting, !g_queue_is_empty(&r->urgent));
    g_mutex_unlock(&r->urgent_lock);
    ret_run->urgent = found;
    return found;
}
