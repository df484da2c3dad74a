/*
 * x-verify on the source: asks, notes, and sends digests.  Migration thread, except where
 * verify.h says otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "verify.h"

#include "config.h"
#include "ram.h"
#include "return-path.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"
#include "wire.h"

#define ANSWER_WAIT_US (30 * G_USEC_PER_SEC)

bool verify_source_ask(Migration *m, Error **errp)
{
    bool known;

    if (!m->config->cap[MIG_CAP_X_VERIFY]) {
        return true;
    }
    savevm_send_ping(m->out, WIRE_PING_VERIFY);
    switch (return_path_wait_pong(m, WIRE_PING_VERIFY, WIRE_PING_VERIFY_KNOWN, ANSWER_WAIT_US,
                                  errp)) {
    case RETURN_PATH_FAILED:
        return false;
    case RETURN_PATH_SILENT:
        error_setg(errp, "the destination does not answer on the return path, which x-verify "
                   "needs");
        return false;
    case RETURN_PATH_CAME:
        break;
    }
    known = return_path_last_pong(m->return_path) == WIRE_PING_VERIFY_KNOWN;
    trace_verify_asked(known);
    __atomic_store_n(&m->verify,
                     verify_new(known ? MIGRATION_VERIFY_STATUS_PENDING
                                      : MIGRATION_VERIFY_STATUS_UNSUPPORTED),
                     __ATOMIC_RELEASE);
    if (!known) {
        warn_report("x-verify: the destination compares no digests, so nothing is verified");
        return true;
    }
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        m->ram->blocks[i].digest = g_new0(uint64_t, m->ram->blocks[i].pages);
    }
    return true;
}

bool verify_source_on(const Migration *m)
{
    return m->verify && m->verify->on;
}

void verify_source_devices(Migration *m, const void *data, size_t len)
{
    if (verify_source_on(m)) {
        m->verify->device = verify_digest(data, len);
    }
}

static void send_pages(Stream *s, const RamSourceBlock *b, uint64_t page, uint64_t n)
{
    g_autofree uint8_t *payload = g_malloc(1 + 256 + 8 + 8 * n);
    size_t len = 1 + wire_name_encode(payload + 1, b->rb->idstr);

    payload[0] = VERIFY_PAGES;
    wire_put_be64(payload + len, page);
    len += 8;
    for (uint64_t i = 0; i < n; i++, len += 8) {
        wire_put_be64(payload + len, __atomic_load_n(&b->digest[page + i], __ATOMIC_RELAXED));
    }
    savevm_send_command(s, WIRE_CMD_FERRY_VERIFY, payload, len);
}

void verify_source_send(Migration *m, Stream *s)
{
    uint8_t begin[10] = { VERIFY_BEGIN, VERIFY_XXH3 }, end = VERIFY_END;

    if (!verify_source_on(m)) {
        return;
    }
    wire_put_be64(begin + 2, m->verify->device);
    savevm_send_command(s, WIRE_CMD_FERRY_VERIFY, begin, sizeof(begin));
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        const RamSourceBlock *b = &m->ram->blocks[i];

        for (uint64_t page = 0; page < b->pages; page += VERIFY_PAGES_MAX) {
            send_pages(s, b, page, MIN(b->pages - page, VERIFY_PAGES_MAX));
        }
        g_mutex_lock(&m->verify->lock);
        m->verify->pages += b->pages;
        g_mutex_unlock(&m->verify->lock);
    }
    savevm_send_command(s, WIRE_CMD_FERRY_VERIFY, &end, 1);
}

void verify_source_pong(Migration *m, uint32_t cookie)
{
    Verify *v = __atomic_load_n(&m->verify, __ATOMIC_ACQUIRE);

    if (!v || (cookie != WIRE_PING_VERIFY_GOOD && cookie != WIRE_PING_VERIFY_BAD)) {
        return;
    }
    g_mutex_lock(&v->lock);
    v->status = cookie == WIRE_PING_VERIFY_GOOD ? MIGRATION_VERIFY_STATUS_VERIFIED
                                                : MIGRATION_VERIFY_STATUS_MISMATCH;
    g_mutex_unlock(&v->lock);
}
