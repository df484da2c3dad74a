/*
 * The switch to postcopy on the source.  Migration thread, machine stopped; it takes the
 * machine lock only while devices are saved into memory, never around IO.
 * postcopy_source_pong() is the return-path thread's.
 *
 *   END of what cannot wait; POSTCOPY_RAM_DISCARD ...; PING 2;
 *   PACKAGED { LISTEN; device state; PING 3; PING 0x42; RUN }; PING 4
 *
 * Until PONG 0x42 the guest is the source's: a failure restarts it here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "migration/carry/carry.h"
#include "migration/config.h"
#include "migration/postcopy-ram/discard.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/postcopy-ram/sentmap.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "migration/wire.h"
#include "system/cpus.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

/* The destination hears at once that the stream has ended; its last word is on its way by then. */
#define LAST_WORD_US (5 * G_USEC_PER_SEC)
/* Runs of a bitmap in a trace line. */
#define TRACE_RUNS 32

void postcopy_source_advise(Migration *m, Stream *s)
{
    const WireAdvise a = {
        .with_ram = true,
        .page_size_summary = postcopy_page_size_summary(),
        .target_page_size = TARGET_PAGE_SIZE,
    };
    uint8_t payload[16];

    savevm_send_command(s, WIRE_CMD_POSTCOPY_ADVISE, payload, wire_advise_encode(payload, &a));
}

static void send_discard(void *opaque, const uint8_t *payload, size_t len)
{
    Migration *m = opaque;

    savevm_send_command(m->out, WIRE_CMD_POSTCOPY_RAM_DISCARD, payload, len);
}

/* Take back what is stale or was never sent, and mark it as to be sent. */
static bool discard_block(Migration *m, RamSourceBlock *b, Error **errp)
{
    g_autofree unsigned long *dirty = g_memdup2(b->dirty, BITMAP_BYTES(b->pages));
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(WireRange));
    SentmapResult r = sentmap_discards(dirty, b->sent, b->pages, b->host_pages, ranges);

    trace_postcopy_sentmap(b->rb->idstr, r.resent, r.never_sent, r.widened, ranges->len);
    if (trace_postcopy_sentmap_runs_on()) {
        g_autofree char *runs = bitmap_runs_to_text(dirty, b->pages, TRACE_RUNS);
        trace_postcopy_sentmap_runs(b->rb->idstr, runs);
    }
    if (r.unclaimed) {
        error_setg(errp,
                   "RAM block '%s': %" PRIu64 " pages were neither sent nor kept to be sent",
                   b->rb->idstr, r.unclaimed);
        return false;
    }
    for (unsigned i = 0; i < ranges->len; i++) {
        WireRange range = g_array_index(ranges, WireRange, i);

        ram_dirty_set_range(m->ram, b, range.start >> TARGET_PAGE_BITS,
                            range.length >> TARGET_PAGE_BITS);
    }
    discard_send(b->rb->idstr, ranges, send_discard, m);
    return true;
}

static bool send_discards(Migration *m, Error **errp)
{
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        if (!discard_block(m, &m->ram->blocks[i], errp)) {
            return false;
        }
    }
    ram_save_restart(m->ram);
    carry_note_owed(m->ram);
    return true;
}

static bool save_devices(Migration *m, Stream *s, Error **errp)
{
    MACHINE_LOCK_GUARD();
    cpu_synchronize_all();
    return savevm_save_devices(m, s, errp);
}

/* The package: everything that the guest needs to run but its memory. */
static Stream *make_package(Migration *m, Error **errp)
{
    g_autoptr(Stream) s = stream_new_output_memory();

    stream_set_name(s, "package");
    savevm_send_command(s, WIRE_CMD_POSTCOPY_LISTEN, NULL, 0);
    if (!save_devices(m, s, errp)) {
        return NULL;
    }
    savevm_send_ping(s, WIRE_PING_IN_PACKAGE);
    savevm_send_ping(s, WIRE_PING_DEVICES_LOADED);
    savevm_send_command(s, WIRE_CMD_POSTCOPY_RUN, NULL, 0);
    if (stream_error(s, errp)) {
        return NULL;
    }
    return g_steal_pointer(&s);
}

static bool send_package(Migration *m, Stream *package, Error **errp)
{
    size_t len;
    const void *data = stream_memory_data(package, &len);

    if (len > WIRE_PACKAGED_MAX) {
        error_setg(errp, "the device state has %zu bytes, more than fit into a package", len);
        return false;
    }
    if (!state_advance(m->state, MIG_STATE_DEVICE, MIG_STATE_POSTCOPY_DEVICE)) {
        error_setg(errp, "the migration was cancelled");
        return false;
    }
    trace_postcopy_package(len);
    verify_source_devices(m, data, len);
    savevm_send_packaged(m->out, data, len);
    /* One that is not whole is not loaded. */
    m->given_up = !stream_error(m->out, NULL);
    stat_set(m->stats.downtime_ms, host_clock_ms() - m->stats.stop_ms);
    savevm_send_ping(m->out, WIRE_PING_AFTER_PACKAGE);
    return !stream_error(m->out, errp);
}

bool postcopy_switch(Migration *m, Error **errp)
{
    g_autoptr(Stream) package = NULL;

    /* From now on pages go on the main channel only. */
    if (m->multifd_send && !savevm_mark_live(m, errp)) {
        return false;
    }
    m->in_postcopy = true;
    g_clear_object(&m->vmdesc); /* the destination reads nothing behind the end of postcopy */
    ram_dirty_guest_gone(m->ram);
    if (!savevm_complete_live(m, false, errp) || !send_discards(m, errp)) {
        return false;
    }
    savevm_send_ping(m->out, WIRE_PING_BEFORE_PACKAGE);
    package = make_package(m, errp);
    if (!package || !send_package(m, package, errp)) {
        return false;
    }
    io_channel_set_send_buffer(m->channel, POSTCOPY_SOCKET_BUFFER);
    return true;
}

bool postcopy_source_confirmed(Migration *m, Error **errp)
{
    if (mig_state_get(m->state) == MIG_STATE_POSTCOPY_ACTIVE) {
        return true;
    }
    error_setg(errp, "the destination ended its load without confirming that it has the devices");
    return false;
}

void postcopy_source_hear_out(Migration *m)
{
    int64_t until = g_get_monotonic_time() + LAST_WORD_US;

    if (mig_state_get(m->state) != MIG_STATE_POSTCOPY_DEVICE || !m->return_path) {
        return;
    }
    io_channel_shutdown(m->channel, IO_SHUTDOWN_WRITE, NULL);
    while (!return_path_ended(m->return_path, NULL) && !migration_cancelled(m) &&
           g_get_monotonic_time() < until &&
           mig_state_wait(m->state, MIG_STATE_POSTCOPY_DEVICE, until) ==
               MIG_STATE_POSTCOPY_DEVICE) {
    }
}

bool postcopy_source_take_back(Migration *m)
{
    if (mig_state_get(m->state) == MIG_STATE_POSTCOPY_DEVICE && m->given_up && m->return_path &&
        !return_path_refused(m->return_path)) {
        return false; /* the guest may run there */
    }
    /* One step against PONG 0x42 in the other thread: the table has no way back from there. */
    return state_advance_any(m->state, MIG_STATE_FAILING, NULL) ||
           !mig_state_is_postcopy(mig_state_get(m->state));
}

void postcopy_source_pong(Migration *m, uint32_t cookie)
{
    if (cookie == WIRE_PING_DEVICES_LOADED &&
        state_advance(m->state, MIG_STATE_POSTCOPY_DEVICE, MIG_STATE_POSTCOPY_ACTIVE)) {
        src_wake(m);
    }
}
