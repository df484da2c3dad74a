/*
 * x-verify on the destination: compares the source's digests with its own memory (precopy) or
 * with those of the pages as they came (postcopy, where the guest changes them meanwhile).
 *
 * Incoming thread; from LISTEN on the listen thread.
 *
 * A difference ends a precopy, and the guest stays where it is.  In postcopy there is no way
 * back: it is said, in the log, in an event and in query-migrate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "verify.h"

#include <inttypes.h>
#include <string.h>

#include "postcopy-ram/dest-int.h"
#include "postcopy-ram/postcopy.h"
#include "postcopy-ram/preempt.h"
#include "qapi/qapi-events.h"
#include "ram.h"
#include "return-path.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/util.h"
#include "wire.h"

#define BATCH 512

void verify_dest_asked(Migration *m)
{
    if (!m->verify) {
        __atomic_store_n(&m->verify, verify_new(MIGRATION_VERIFY_STATUS_PENDING),
                         __ATOMIC_RELEASE);
    }
}

void verify_dest_devices(Migration *m, const void *data, size_t len)
{
    if (m->verify) {
        m->verify->device = verify_digest(data, len);
        m->verify->device_known = true;
    }
}

void verify_dest_listen(Migration *m)
{
    Pmi *pmi = m->postcopy_dest->pmi;

    for (unsigned i = 0; m->verify && i < pmi->num_blocks; i++) {
        PmiBlock *b = &pmi->blocks[i];
        uint64_t page = 0;

        b->digest = g_new0(uint64_t, b->pages);
        while ((page = bitmap_find_next(b->received, b->pages, page)) < b->pages) {
            uint64_t end = bitmap_find_next_zero(b->received, b->pages, page);

            verify_hash_pages(b->rb, page, end - page, b->digest + page);
            page = end;
        }
    }
}

/* ---- the comparison ---- */

static bool begin(Migration *m, const uint8_t *p, size_t len, Error **errp)
{
    Verify *v = m->verify;

    if (len != 9 || p[0] != VERIFY_XXH3) {
        error_setg(errp, "digests of kind %u; only %u (XXH3) is known", len ? p[0] : 0,
                   VERIFY_XXH3);
        return false;
    }
    if (postcopy_dest_placing(m)) {
        preempt_dest_drain(m->postcopy_dest); /* what is still on its way over that channel */
    }
    g_mutex_lock(&v->lock);
    v->pages = v->bad_pages = 0;
    g_clear_pointer(&v->block, g_free);
    v->device_differs = !v->device_known || v->device != wire_get_be64(p + 1);
    v->status = MIGRATION_VERIFY_STATUS_PENDING;
    g_mutex_unlock(&v->lock);
    v->begun = true;
    v->ended = false;
    return true;
}

static void note_bad(Verify *v, const RAMBlock *rb, uint64_t page)
{
    g_mutex_lock(&v->lock);
    if (!v->bad_pages++) {
        v->block = g_strdup(rb->idstr);
        v->offset = page << TARGET_PAGE_BITS;
    }
    g_mutex_unlock(&v->lock);
}

/* The digests of those n pages as this side has them: at most BATCH. */
static const uint64_t *digests_here(Migration *m, const RamDestBlock *b, uint64_t page, uint64_t n,
                                    uint64_t *buf)
{
    if (postcopy_dest_placing(m)) {
        return pmi_find(m->postcopy_dest->pmi, b->rb)->digest + page;
    }
    verify_hash_pages(b->rb, page, n, buf);
    return buf;
}

static void compare(Migration *m, const RamDestBlock *b, uint64_t page, uint64_t n,
                    const uint8_t *theirs)
{
    uint64_t buf[BATCH];

    for (uint64_t done = 0; done < n; done += BATCH) {
        uint64_t k = MIN(n - done, BATCH);
        const uint64_t *ours = digests_here(m, b, page + done, k, buf);

        for (uint64_t i = 0; i < k; i++) {
            if (__atomic_load_n(&ours[i], __ATOMIC_RELAXED) !=
                wire_get_be64(theirs + 8 * (done + i))) {
                note_bad(m->verify, b->rb, page + done + i);
            }
        }
    }
}

static bool pages(Migration *m, const uint8_t *p, size_t len, Error **errp)
{
    size_t name_len = len ? 1 + p[0] : 0;
    char name[256];
    RamDestBlock *b;
    uint64_t first, n;

    if (!m->verify->begun || len < name_len + 16 || (len - name_len) % 8 ||
        !wire_name_decode(p, name_len, name, NULL)) {
        error_setg(errp, "digests of pages in %zu bytes make no sense here", len);
        return false;
    }
    b = ram_dest_block(m->ram_dest, name);
    first = wire_get_be64(p + name_len);
    n = (len - name_len) / 8 - 1;
    if (!b || b->ignored || first >= b->pages || n > b->pages - first) {
        g_autofree char *shown = g_strescape(name, NULL);

        error_setg(errp, "digests of %" PRIu64 " pages from 0x%" PRIx64 " on of RAM block '%s', "
                   "which are not there", n, first << TARGET_PAGE_BITS, shown);
        return false;
    }
    compare(m, b, first, n, p + name_len + 8);
    g_mutex_lock(&m->verify->lock);
    m->verify->pages += n;
    g_mutex_unlock(&m->verify->lock);
    return true;
}

/* What was found, in words; NULL: all is well. */
static char *difference(const MigrationVerify *r)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (r->bad_pages) {
        g_string_append_printf(text, "%" PRIu64 " of %" PRIu64 " pages are not what the source "
                               "sent, the first one is 0x%" PRIx64 " of RAM block '%s'",
                               r->bad_pages, r->pages, r->offset, r->block);
    }
    if (r->device_differs) {
        g_string_append_printf(text, "%sthe device state is not what the source sent",
                               text->len ? ", and " : "");
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* Tell everybody.  False in precopy when something differs. */
static bool report(Migration *m, Error **errp)
{
    g_autoptr(MigrationVerify) r = verify_query(m);
    g_autofree char *text = difference(r);
    Verify *v = m->verify;

    r->status = text ? MIGRATION_VERIFY_STATUS_MISMATCH : MIGRATION_VERIFY_STATUS_VERIFIED;
    g_mutex_lock(&v->lock);
    v->status = r->status;
    g_mutex_unlock(&v->lock);
    trace_verify_result(text ? text : "good", r->pages);
    qapi_event_send_x_migration_verify(r);
    if (m->rp_send) {
        return_path_send_pong(m->rp_send, text ? WIRE_PING_VERIFY_BAD : WIRE_PING_VERIFY_GOOD, NULL);
    }
    if (text && !postcopy_dest_placing(m)) {
        error_setg(errp, "x-verify: %s", text);
        return false;
    }
    if (text) {
        error_report("x-verify: %s; the guest runs here already", text);
    }
    return true;
}

static bool end(Migration *m, size_t len, Error **errp)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < m->ram_dest->n_blocks; i++) {
        const RamDestBlock *b = &m->ram_dest->blocks[i];

        all += b->ignored ? 0 : b->pages;
    }
    if (len || !m->verify->begun || m->verify->pages != all) {
        error_setg(errp, "digests of %" PRIu64 " pages have come, and there are %" PRIu64,
                   m->verify->pages, all);
        return false;
    }
    m->verify->begun = false;
    m->verify->ended = true;
    return report(m, errp);
}

bool verify_dest_command(Migration *m, const uint8_t *payload, size_t len, Error **errp)
{
    if (!m->verify || !len) {
        error_setg(errp, m->verify ? "it is empty" : "it came without PING VERIFY before");
        return false;
    }
    switch (payload[0]) {
    case VERIFY_BEGIN:
        return begin(m, payload + 1, len - 1, errp);
    case VERIFY_PAGES:
        return pages(m, payload + 1, len - 1, errp);
    case VERIFY_END:
        return end(m, len - 1, errp);
    default:
        error_setg(errp, "it is of the unknown kind %u", payload[0]);
        return false;
    }
}

bool verify_dest_end(Migration *m, Error **errp)
{
    if (!m->verify || m->verify->ended) {
        return true;
    }
    error_setg(errp, "x-verify: the source has announced digests, and has not sent all of them");
    return false;
}
