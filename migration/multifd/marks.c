/*
 * Which marks of multifd does the destination know?  Asked before the first page goes.
 *
 *   source                                    destination
 *   PING MARKS                          ->    Ferry: PONG MARKS_KNOWN -> MULTIFD_FLUSH, done
 *                                       <-    others: PONG MARKS
 *   `ram` START, no mark, no SYNC       ->    before 8.1: its EOS waits for a SYNC on each channel
 *   PING MARKS_ROUND                    ->
 *                                       <-    since 8.1: PONG at once -> MULTIFD_FLUSH, done
 *   nothing for a while: SYNC           ->
 *                                       <-    before 8.1: PONG, now
 *
 * A slow destination looks like an old one in such a round, but hardly in all of them.  When
 * it gives itself away late, the SYNCs that it has on its channels get their MULTIFD_FLUSH.
 *
 * Belongs to the migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/config.h"
#include "migration/multifd/multifd.h"
#include "migration/return-path.h"
#include "migration/savevm.h"
#include "migration/state.h"
#include "migration/wire.h"
#include "trace/migration.h"
#include "util/util.h"

/* Silence of the first round, on top of what an answer takes; twice that in each further one. */
#define SILENCE_US (100 * 1000)
/* So many rounds must look the same / may be tried. */
#define ROUNDS 3
#define ROUNDS_MAX 8
#define ANSWER_WAIT_US (30 * G_USEC_PER_SEC)

/* An answer that must come. */
static bool need_pong(Migration *m, uint32_t a, uint32_t b, Error **errp)
{
    ReturnPathAnswer answer = return_path_wait_pong(m, a, b, ANSWER_WAIT_US, errp);

    if (answer == RETURN_PATH_SILENT) {
        error_setg(errp, "the destination does not answer on the return path, so nobody knows "
                   "which marks of multifd it expects: -global migration."
                   "multifd-flush-after-each-section=on (before QEMU 8.1) or off says it");
    }
    return answer == RETURN_PATH_CAME;
}

static void settle(Migration *m, MultifdMarks marks)
{
    m->marks = marks;
    trace_multifd_marks(marks == MULTIFD_MARKS_SECTION ? "each section" : "MULTIFD_FLUSH");
    if (marks == MULTIFD_MARKS_SECTION &&
        m->config->zero_page_detection == MIG_ZERO_DETECTION_MULTIFD) {
        /* So old a destination knows zero pages on the main channel only. */
        m->detect_zero = true;
        multifd_send_set_zero(m->multifd_send, MULTIFD_ZERO_NEVER);
    }
}

bool multifd_marks_ask(Migration *m, Error **errp)
{
    int64_t start = g_get_monotonic_time();

    if (!m->multifd_send || m->marks != MULTIFD_MARKS_ASK) {
        return true;
    }
    savevm_send_ping(m->out, WIRE_PING_MARKS);
    if (!need_pong(m, WIRE_PING_MARKS, WIRE_PING_MARKS_KNOWN, errp)) {
        return false;
    }
    m->marks_answer_us = g_get_monotonic_time() - start;
    if (return_path_last_pong(m->return_path) == WIRE_PING_MARKS_KNOWN) {
        settle(m, MULTIFD_MARKS_FLUSH);
        multifd_send_set_zero(m->multifd_send, MULTIFD_ZERO_ALWAYS);
    }
    return true;
}

/* One question behind an EOS without a mark.  *ret_old: it looks like an old destination. */
static bool probe_round(Migration *m, unsigned round, int64_t silence_us, bool *ret_old,
                        Error **errp)
{
    uint32_t cookie = WIRE_PING_MARKS_ROUND + round;
    ReturnPathAnswer answer;

    savevm_send_ping(m->out, cookie);
    answer = return_path_wait_pong(m, cookie, cookie, silence_us, errp);
    if (answer == RETURN_PATH_CAME) {
        settle(m, MULTIFD_MARKS_FLUSH);
        /* What lies on its channels is still to be marked. */
        m->ram->flushes_due = round;
        return !round || savevm_mark_live(m, errp);
    }
    if (answer == RETURN_PATH_FAILED || !multifd_send_sync(m->multifd_send, errp)) {
        return false;
    }
    answer = return_path_wait_pong(m, cookie, cookie, silence_us, errp);
    *ret_old = answer == RETURN_PATH_CAME;
    return answer == RETURN_PATH_CAME ||
           (answer == RETURN_PATH_SILENT && need_pong(m, cookie, cookie, errp));
}

bool multifd_marks_probe(Migration *m, Error **errp)
{
    int64_t silence_us = SILENCE_US + 2 * m->marks_answer_us;
    unsigned old = 0;

    if (!m->multifd_send) {
        return true;
    }
    for (unsigned round = 0; m->marks == MULTIFD_MARKS_ASK; round++, silence_us *= 2) {
        bool is_old = false;

        if (round == ROUNDS_MAX) {
            error_setg(errp, "the destination is too slow to find out which marks of multifd it "
                       "expects: -global migration.multifd-flush-after-each-section=on (before "
                       "QEMU 8.1) or off says it");
            return false;
        }
        /* A PART with nothing in it: another EOS. */
        if ((round && !savevm_mark_live(m, errp)) ||
            !probe_round(m, round, silence_us, &is_old, errp)) {
            return false;
        }
        old += is_old;
        if (m->marks == MULTIFD_MARKS_ASK && old == ROUNDS) {
            settle(m, MULTIFD_MARKS_SECTION);
        }
    }
    return true;
}
