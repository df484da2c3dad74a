/*
 * Lifecycle of migrations: start, cancel, join, free; owner of the only pointers.
 *
 * Belongs to the main thread, under the machine lock, except where a function says
 * "any thread".  No data path here: src-main.c and dst-main.c have that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/migration.h"

#include "migration-int.h"

#include <string.h>

#include "carry/carry.h"
#include "channel.h"
#include "config.h"
#include "cpr.h"
#include "dirty-rate.h"
#include "dst-channels.h"
#include "globalstate.h"
#include "io/tls.h"
#include "monitor/yank.h"
#include "lifecycle.h"
#include "mapped-ram.h"
#include "multifd/multifd.h"
#include "pagemap.h"
#include "postcopy-ram/postcopy.h"
#include "postcopy-ram/preempt.h"
#include "ram.h"
#include "return-path.h"
#include "savevm.h"
#include "src-converge.h"
#include "src-snapshot.h"
#include "state.h"
#include "stream-internal.h"
#include "system/dirty-limit.h"
#include "system/dump.h"
#include "system/machine-lock.h"
#include "timer-section.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"
#include "verify.h"
#include "watch.h"
#include "wire.h"

/* All that outlives one migration.  Machine lock. */
typedef struct MigrationRoot {
    GMutex current_lock;    /* held to change the next two, and to use what they point to without
                               the machine lock; taken inside of it, never held for long */
    Migration *source;      /* the newest; NULL: none yet */
    Migration *destination; /* the only one; NULL: none */
    MigStateMachine source_state, destination_state;
    SaveRegistry *registry;
    GlobalState globalstate;
    TimerSection timer;
    GPtrArray *blockers;    /* of Error *, not owned */
    bool incoming_deferred; /* -incoming defer, and no migrate-incoming yet */
} MigrationRoot;

static MigrationRoot *root;
bool only_migratable;

static MigrationRoot *get_root(void)
{
    if (!root) {
        root = g_new0(MigrationRoot, 1);
        g_mutex_init(&root->current_lock);
        mig_state_init(&root->source_state, MIG_SRC, mig_state_emit_event, NULL);
        mig_state_init(&root->destination_state, MIG_DST, mig_state_emit_event, NULL);
        root->registry = save_registry_new();
        root->blockers = g_ptr_array_new();
    }
    return root;
}

SaveRegistry *save_registry(void)
{
    return get_root()->registry;
}

GlobalState *globalstate(void)
{
    return &get_root()->globalstate;
}

bool vmstate_register(const char *path, int instance_id, const VMStateDescription *vmsd,
                      void *opaque, Error **errp)
{
    if (vmsd->unmigratable && only_migratable) {
        error_setg(errp, "'%s' cannot be migrated, and -only-migratable was given", vmsd->name);
        return false;
    }
    return save_registry_add(save_registry(), path, instance_id, vmsd, opaque, errp);
}

void vmstate_unregister(const VMStateDescription *vmsd, void *opaque)
{
    save_registry_remove(save_registry(), vmsd, opaque);
}

/* ---- live thing: ram ---- */

static bool ram_can_postcopy(const Migration *m)
{
    return m->config->cap[MIG_CAP_POSTCOPY_RAM];
}

static bool ram_load_section(Migration *m, Stream *s, int version_id, Error **errp)
{
    if (version_id != WIRE_RAM_VERSION) {
        error_setg(errp, "version %d of it is not supported; only %d is", version_id,
                   WIRE_RAM_VERSION);
        return false;
    }
    return ram_load(m->ram_dest, s, m->config, errp);
}

static const LiveOps ram_ops = {
    .mark = ram_save_mark,
    .setup = ram_save_setup, .iterate = ram_save_iterate, .complete = ram_save_complete,
    .can_postcopy = ram_can_postcopy, .load = ram_load_section,
};

/* ---- start and end of the program ---- */

static bool host_can_postcopy(Error **errp)
{
    /* Only who receives needs userfaultfd. */
    return !migration_incoming_pending() || postcopy_supported_by_host(errp);
}

static bool host_can_snapshot(Error **errp)
{
    /* Who is waited for takes none, so that both sides may have the same capabilities. */
    return migration_incoming_pending() || snapshot_supported(errp);
}

static bool yank_present(void *opaque)
{
    MigrationRoot *r = opaque;
    bool present;

    g_mutex_lock(&r->current_lock);
    present = (r->source && mig_state_is_running(mig_state_get(&r->source_state))) ||
              (r->destination && mig_state_is_running(mig_state_get(&r->destination_state)));
    g_mutex_unlock(&r->current_lock);
    return present;
}

static void yank_now(void *opaque)
{
    MigrationRoot *r = opaque;

    g_mutex_lock(&r->current_lock);
    if (r->source && mig_state_is_running(mig_state_get(&r->source_state))) {
        migration_shutdown_channels(r->source);
    }
    if (r->destination && mig_state_is_running(mig_state_get(&r->destination_state))) {
        migration_shutdown_channels(r->destination);
    }
    g_mutex_unlock(&r->current_lock);
}

static const YankOps yank_ops = { .present = yank_present, .yank = yank_now };

void migration_init(void)
{
    SaveRegistry *reg = save_registry();

    pagemap_prepare();
    save_registry_add(reg, NULL, 0, &vmstate_timer, &get_root()->timer, NULL);
    save_registry_add_live(reg, WIRE_RAM_IDSTR, WIRE_RAM_VERSION, &ram_ops);
    save_registry_skip_id(reg); /* dirty-bitmap */
    mig_settings_set_cap_check(mig_settings(), MIG_CAP_POSTCOPY_RAM, host_can_postcopy);
    mig_settings_set_cap_check(mig_settings(), MIG_CAP_DIRTY_LIMIT, dirty_limit_supported);
    mig_settings_set_cap_check(mig_settings(), MIG_CAP_BACKGROUND_SNAPSHOT, host_can_snapshot);
    mig_settings_set_in_progress(mig_settings(), migration_in_progress);
    yank_add("migration", NULL, &yank_ops, root);
}

void migration_machine_ready(void)
{
    save_registry_add(save_registry(), NULL, 0, &vmstate_globalstate, globalstate(), NULL);
}

bool migration_global_property(const char *prop, const char *value, Error **errp)
{
    return mig_settings_set_global(mig_settings(), prop, value, errp);
}

/* Join with the machine lock dropped: the thread may still need it. */
static void join_thread(Migration *m)
{
    GThread *thread = g_steal_pointer(&m->thread);

    if (thread) {
        machine_unlock();
        g_thread_join(thread);
        machine_lock();
    }
}

/* From now on no command sees m. */
static void set_current(Migration **where, Migration *m)
{
    g_mutex_lock(&root->current_lock);
    *where = m;
    g_mutex_unlock(&root->current_lock);
}

static void migration_free(Migration *m)
{
    if (!m) {
        return;
    }
    join_thread(m);
    mig_watch_stop(m);
    multifd_send_free(m->multifd_send);
    multifd_recv_free(m->multifd_recv);
    dst_channels_clear(m);
    postcopy_dest_free(m->postcopy_dest);
    if (m->listener) {
        mig_listener_free(m->listener);
    }
    return_path_free(m->return_path);
    preempt_source_free(m->preempt);
    return_path_send_free(m->rp_send);
    verify_free(m->verify);
    stream_free(m->out);
    stream_free(m->in);
    ram_source_free(m->ram);
    g_clear_pointer(&m->journeys, g_ptr_array_unref);
    ram_dest_free(m->ram_dest);
    loadvm_free(m->load);
    mig_connector_free(m->connector);
    mig_connector_free(m->cpr_connector);
    tls_creds_unref(m->tls_creds);
    io_channel_unref(m->channel);
    io_channel_unref(m->urgent_channel);
    io_channel_unref(m->pages_channel);
    migrate_address_free(m->addr);
    migrate_address_free(m->carry.address);
    g_free(m->carry.filename);
    g_clear_object(&m->vmdesc);
    g_clear_error(&m->error);
    g_mutex_clear(&m->error_lock);
    mig_config_free(m->config);
    g_free(m->uri);
    g_free(m);
}

void migration_shutdown(void)
{
    dirty_rate_shutdown();
    if (!root) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        Migration *m = i ? root->destination : root->source;

        set_current(i ? &root->destination : &root->source, NULL);
        if (m) {
            converge_end(m);
            __atomic_store_n(&m->cancel, 1, __ATOMIC_RELEASE);
            migration_shutdown_channels(m);
            src_wake(m);
            migration_free(m);
        }
    }
}

/* ---- any thread ---- */

void migration_set_error(Migration *m, Error *err)
{
    g_mutex_lock(&m->error_lock);
    if (!m->error) {
        m->error = g_steal_pointer(&err);
    }
    g_mutex_unlock(&m->error_lock);
    g_clear_error(&err);
}

void migration_explain_error(Migration *m, Error *err, const char *why)
{
    migration_set_error(m, err);
    g_mutex_lock(&m->error_lock);
    error_prefix(&m->error, "%s", why);
    g_mutex_unlock(&m->error_lock);
}

Error *migration_get_error(Migration *m)
{
    Error *err;

    g_mutex_lock(&m->error_lock);
    err = m->error ? g_error_copy(m->error) : NULL;
    g_mutex_unlock(&m->error_lock);
    return err;
}

void migration_clear_error(Migration *m)
{
    g_mutex_lock(&m->error_lock);
    g_clear_error(&m->error);
    g_mutex_unlock(&m->error_lock);
}

bool migration_cancelled(const Migration *m)
{
    return __atomic_load_n(&m->cancel, __ATOMIC_ACQUIRE);
}

static void set_channel(Migration *m, IOChannel **where, IOChannel *ioc)
{
    IOChannel *before;

    g_mutex_lock(&m->error_lock);
    before = *where;
    *where = ioc;
    if (ioc && migration_cancelled(m)) {
        io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&m->error_lock);
    io_channel_unref(before);
}

void migration_set_channel(Migration *m, IOChannel *ioc)
{
    set_channel(m, &m->channel, ioc);
}

void migration_set_urgent_channel(Migration *m, IOChannel *ioc)
{
    set_channel(m, &m->urgent_channel, ioc);
}

void migration_set_pages_channel(Migration *m, IOChannel *ioc)
{
    set_channel(m, &m->pages_channel, ioc);
}

IOChannel *migration_get_urgent_channel(Migration *m)
{
    IOChannel *ioc;

    g_mutex_lock(&m->error_lock);
    ioc = m->urgent_channel ? io_channel_ref(m->urgent_channel) : NULL;
    g_mutex_unlock(&m->error_lock);
    return ioc;
}

void migration_set_multifd_send(Migration *m, MultifdSend *ms)
{
    g_mutex_lock(&m->error_lock);
    m->multifd_send = ms;
    if (migration_cancelled(m)) {
        multifd_send_shutdown(ms);
    }
    g_mutex_unlock(&m->error_lock);
}

void migration_set_cpr_channel(Migration *m, IOChannel *ioc)
{
    g_mutex_lock(&m->error_lock);
    m->cpr_channel = ioc;
    if (ioc && migration_cancelled(m)) {
        io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&m->error_lock);
}

void migration_shutdown_channels(Migration *m)
{
    g_mutex_lock(&m->error_lock);
    if (m->connector) {
        mig_connector_cancel(m->connector);
    }
    if (m->cpr_connector) {
        mig_connector_cancel(m->cpr_connector);
    }
    if (m->cpr_channel) {
        io_channel_shutdown(m->cpr_channel, IO_SHUTDOWN_BOTH, NULL);
    }
    if (m->channel) {
        io_channel_shutdown(m->channel, IO_SHUTDOWN_BOTH, NULL);
    }
    if (m->pages_channel) {
        io_channel_shutdown(m->pages_channel, IO_SHUTDOWN_BOTH, NULL);
    }
    if (m->urgent_channel) {
        io_channel_shutdown(m->urgent_channel, IO_SHUTDOWN_BOTH, NULL);
    }
    if (m->multifd_send) {
        multifd_send_shutdown(m->multifd_send);
    }
    if (m->multifd_recv) {
        multifd_recv_shutdown(m->multifd_recv);
    }
    g_mutex_unlock(&m->error_lock);
    __atomic_store_n(&m->carry.stop, 1, __ATOMIC_RELEASE);
    postcopy_dest_wake(m);
}

void migration_moment(Migration *m, FaultPoint p)
{
    if (fault_point(p)) {
        migration_shutdown_channels(m);
    }
}

/* ---- the current ones ---- */

Migration *migration_source_current(void)
{
    return get_root()->source;
}

Migration *migration_destination_current(void)
{
    return get_root()->destination;
}

MigState migration_source_state(void)
{
    return mig_state_get(&get_root()->source_state);
}

MigState migration_destination_state(void)
{
    return mig_state_get(&get_root()->destination_state);
}

bool migration_in_progress(void)
{
    MigState dst = migration_destination_state();

    return mig_state_is_running(migration_source_state()) ||
           (mig_state_is_running(dst) && dst != MIG_STATE_SETUP);
}

bool migration_incoming_pending(void)
{
    MigState dst = migration_destination_state();

    return get_root()->incoming_deferred || mig_state_is_running(dst);
}

static Migration *migration_new(bool source, const MigrateAddress *addr)
{
    Migration *m = g_new0(Migration, 1);

    m->source = source;
    m->uri = migrate_address_to_str(addr);
    m->addr = migrate_address_copy(addr);
    m->state = source ? &get_root()->source_state : &get_root()->destination_state;
    m->stats.downtime_ms = -1;
    m->stats.start_ms = host_clock_ms();
    g_mutex_init(&m->error_lock);
    return m;
}

/* ---- blockers ---- */

bool migrate_add_blocker(Error **reason, Error **errp)
{
    if (only_migratable || migration_in_progress()) {
        error_setg(errp, "%s (%s)", only_migratable ? "-only-migratable was given"
                                                    : "a migration is in progress",
                   error_get_pretty(*reason));
        g_clear_error(reason);
        return false;
    }
    g_ptr_array_add(get_root()->blockers, *reason);
    return true;
}

void migrate_del_blocker(Error **reason)
{
    if (*reason) {
        g_ptr_array_remove(get_root()->blockers, *reason);
        g_clear_error(reason);
    }
}

const GPtrArray *migration_blockers(void)
{
    return get_root()->blockers;
}

static bool check_blockers(Error **errp)
{
    MigrationRoot *r = get_root();

    if (!save_registry_migratable(r->registry, errp)) {
        return false;
    }
    if (r->blockers->len) {
        error_setg(errp, "%s", error_get_pretty((Error *)g_ptr_array_index(r->blockers, 0)));
        return false;
    }
    return true;
}

/* ---- outgoing ---- */

static bool check_may_start(Error **errp)
{
    if (mig_state_is_running(migration_source_state())) {
        error_setg(errp, "There's a migration process in progress");
    } else if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "Guest is waiting for an incoming migration");
    } else if (runstate_check(RUN_STATE_POSTMIGRATE)) {
        error_setg(errp, "Can't migrate the vm that was paused due to previous migration");
    } else if (dump_in_progress()) {
        error_setg(errp, "a dump of the memory is in progress");
    } else if (mig_settings_get(mig_settings())->mode != MIG_MODE_NORMAL &&
               (mig_settings_cap(MIG_CAP_POSTCOPY_RAM) ||
                mig_settings_cap(MIG_CAP_BACKGROUND_SNAPSHOT))) {
        error_setg(errp, "mode '%s' stops the guest first: it goes neither with postcopy-ram nor "
                   "with background-snapshot",
                   mig_param_enum_name(MIG_PARAM_MODE, mig_settings_get(mig_settings())->mode));
    } else {
        return check_blockers(errp);
    }
    return false;
}

/* The migration thread sleeps until the state changes; it has no connector in use then. */
static bool resume_paused(const MigrateAddress *addr, Error **errp)
{
    Migration *m = get_root()->source;
    MigConnector *connector, *before;

    if (!m || migration_source_state() != MIG_STATE_POSTCOPY_PAUSED || carry_released(m)) {
        error_setg(errp, "Cannot resume if there is no paused migration");
        return false;
    }
    g_clear_pointer(&m->carry.address, migrate_address_free);
    if (addr->transport == MIG_TRANSPORT_FILE) {
        if (!carry_attempt_known(m, errp) || !carry_check_address(addr, errp)) {
            return false;
        }
        m->carry.address = migrate_address_copy(addr);
        __atomic_store_n(&m->carry.stop, 0, __ATOMIC_RELEASE);
        migration_clear_error(m);
        return state_advance(m->state, MIG_STATE_POSTCOPY_PAUSED,
                             MIG_STATE_POSTCOPY_RECOVER_SETUP);
    }
    connector = mig_connector_new(addr, errp);
    if (!connector) {
        return false;
    }
    g_mutex_lock(&m->error_lock);
    before = m->connector;
    m->connector = connector;
    g_mutex_unlock(&m->error_lock);
    mig_connector_free(before);
    g_free(m->uri);
    m->uri = migrate_address_to_str(addr);
    migration_clear_error(m);
    return state_advance(m->state, MIG_STATE_POSTCOPY_PAUSED, MIG_STATE_POSTCOPY_RECOVER_SETUP);
}

/* Options that need a second connection to the same address. */
static bool check_connections(const MigrateAddress *addr, bool listening, Error **errp)
{
    bool many = mig_settings_cap(MIG_CAP_MAPPED_RAM) ||
                (addr->transport == MIG_TRANSPORT_SOCKET &&
                 (listening || addr->socket->type != SOCKET_FD));

    if (!many && mig_settings_cap(MIG_CAP_POSTCOPY_PREEMPT)) {
        g_autofree char *what = migrate_address_to_str(addr);

        error_setg(errp, "postcopy-preempt needs an address that can be connected to twice "
                   "(tcp:, unix: or vsock:); %s is one channel", what);
        return false;
    }
    if (!many && mig_settings_cap(MIG_CAP_MULTIFD)) {
        g_autofree char *what = migrate_address_to_str(addr);

        error_setg(errp, "multifd needs several connections, and %s is only one: use tcp:, unix: "
                   "or vsock:", what);
        return false;
    }
    return true;
}

/* Only multifd's channels can do it in its place, and old peers want records on the main one. */
static bool main_thread_finds_zero(const MigConfig *config)
{
    switch (config->zero_page_detection) {
    case MIG_ZERO_DETECTION_NONE:
        return false;
    case MIG_ZERO_DETECTION_MULTIFD:
        return !config->cap[MIG_CAP_MULTIFD] || config->multifd_flush_after_each_section == 1;
    default:
        return true;
    }
}

static MultifdMarks marks_known(const MigConfig *config)
{
    switch (config->multifd_flush_after_each_section) {
    case MIG_AUTO:
        /* Without packets there is nothing to ask, and in a file nobody. */
        return config->cap[MIG_CAP_MULTIFD] && !config->cap[MIG_CAP_MAPPED_RAM]
                   ? MULTIFD_MARKS_ASK
                   : MULTIFD_MARKS_FLUSH;
    case 1:
        return MULTIFD_MARKS_SECTION;
    default:
        return MULTIFD_MARKS_FLUSH;
    }
}

bool migration_start(const MigrateAddress *addr, const MigrateAddress *cpr, bool resume,
                     Error **errp)
{
    g_autoptr(MigConnector) connector = NULL, cpr_connector = NULL;
    Migration *m;

    if (resume && addr->transport == MIG_TRANSPORT_FILE) {
        return resume_paused(addr, errp); /* no channel of the migration, but what is carried over */
    }
    if (!mapped_check_address(addr, errp) || !check_connections(addr, false, errp)) {
        return false;
    }
    if (resume) {
        return resume_paused(addr, errp);
    }
    if (!check_may_start(errp) ||
        !cpr_check_start(mig_settings_get(mig_settings()), addr, cpr, errp) ||
        !(connector = mig_connector_new(addr, errp)) ||
        (cpr && !(cpr_connector = mig_connector_new(cpr, errp)))) {
        return false;
    }
    m = root->source;
    set_current(&root->source, NULL);
    migration_free(m);
    m = migration_new(true, addr);
    m->connector = g_steal_pointer(&connector);
    m->cpr_connector = g_steal_pointer(&cpr_connector);
    m->config = mig_config_freeze(mig_settings());
    m->detect_zero = main_thread_finds_zero(m->config);
    m->marks = marks_known(m->config);
    set_current(&root->source, m);
    g_assert(state_advance_any(m->state, MIG_STATE_SETUP, NULL));
    m->thread = mig_watch_start(m, errp) ? thread_try_start("migration", src_main, m, errp) : NULL;
    if (!m->thread) {
        state_advance_any(m->state, MIG_STATE_FAILING, NULL);
        state_advance_any(m->state, MIG_STATE_FAILED, NULL);
    }
    return m->thread != NULL;
}

/* In a pause only while the destination has never said that it has the guest. */
static bool may_cancel(const Migration *m)
{
    return mig_state_get(m->state) != MIG_STATE_POSTCOPY_PAUSED ||
           __atomic_load_n(&m->unconfirmed, __ATOMIC_ACQUIRE);
}

bool migration_cancel(Error **errp)
{
    Migration *m = get_root()->source;
    MigState was = migration_source_state();

    if (!m || !mig_state_is_running(was) || was == MIG_STATE_CANCELLING ||
        was == MIG_STATE_FAILING) {
        return true;
    }
    if (!may_cancel(m) || !state_advance_any(m->state, MIG_STATE_CANCELLING, NULL)) {
        /* It ended in the meantime, or the guest is on the other side. */
        was = migration_source_state();
        if (mig_state_is_postcopy(was)) {
            error_setg(errp, "Postcopy migration in progress, cannot cancel.");
            return false;
        }
        return true;
    }
    __atomic_store_n(&m->cancel, 1, __ATOMIC_RELEASE);
    migration_shutdown_channels(m);
    src_wake(m);
    return true;
}

/* ---- commands that may run without the machine lock ---- */

/* Writing a file can be broken off, connecting cannot. */
static bool can_pause(const Migration *m, MigState s)
{
    return s == MIG_STATE_POSTCOPY_ACTIVE || s == MIG_STATE_POSTCOPY_RECOVER ||
           (s == MIG_STATE_POSTCOPY_RECOVER_SETUP &&
            !__atomic_load_n(&m->carry.stop, __ATOMIC_ACQUIRE));
}

bool migration_pause(Error **errp)
{
    MigrationRoot *r = get_root();
    bool found = true;

    g_mutex_lock(&r->current_lock);
    if (r->source && can_pause(r->source, mig_state_get(&r->source_state))) {
        migration_shutdown_channels(r->source);
    } else if (r->destination && can_pause(r->destination, mig_state_get(&r->destination_state))) {
        migration_shutdown_channels(r->destination);
    } else {
        found = false;
    }
    g_mutex_unlock(&r->current_lock);
    if (!found) {
        error_setg(errp, "no migration is in state 'postcopy-active' or 'postcopy-recover': only "
                   "those can be paused");
    }
    return found;
}

bool migration_call_paused(bool source, MigrationCall *fn, void *opaque, Error **errp)
{
    MigrationRoot *r = get_root();
    Migration *m;
    MigState state;
    bool ok = false;

    g_mutex_lock(&r->current_lock);
    m = source ? r->source : r->destination;
    state = mig_state_get(source ? &r->source_state : &r->destination_state);
    if (m && state == MIG_STATE_POSTCOPY_PAUSED) {
        ok = fn(m, opaque, errp);
    } else if (m && m->postcopy_dest && state == MIG_STATE_COMPLETED) {
        error_setg(errp, "the incoming migration is not in state 'postcopy-paused' but completed: "
                   "nothing is missing, and the source can be released");
    } else {
        error_setg(errp, "there is no %s migration in state 'postcopy-paused'",
                   source ? "outgoing" : "incoming");
    }
    g_mutex_unlock(&r->current_lock);
    return ok;
}

/* ---- incoming ---- */

bool migration_incoming_start(const MigrateAddress *addr, bool exit_on_error, Error **errp)
{
    Migration *m;

    if (get_root()->destination) {
        error_setg(errp, "The incoming migration has already been started");
        return false;
    }
    if (!mapped_check_address(addr, errp) || !check_connections(addr, true, errp) ||
         !save_registry_migratable(root->registry, errp)) {
        return false;
    }
    globalstate_forget(&root->globalstate);
    m = migration_new(false, addr);
    m->exit_on_error = exit_on_error;
    g_assert(state_advance_any(m->state, MIG_STATE_SETUP, NULL));
    m->listener = mig_listener_new(addr, dst_channels_accepted, m, errp);
    if (!m->listener) {
        state_advance_any(m->state, MIG_STATE_FAILED, NULL);
        mig_state_reset(m->state);
        migration_free(m);
        return false;
    }
    set_current(&root->destination, m);
    root->incoming_deferred = false;
    cpr_listening();
    return true;
}

bool migration_incoming_deferred(void)
{
    return get_root()->incoming_deferred;
}

bool migration_incoming_option(const char *arg, Error **errp)
{
    g_autoptr(MigrateAddress) addr = NULL;

    if (!strcmp(arg, "defer")) {
        get_root()->incoming_deferred = true;
        return true;
    }
    if (cpr_is_option(arg)) {
        return true; /* it was here before there was a machine */
    }
    addr = migrate_address_from_option(arg, errp);
    return addr && migration_incoming_start(addr, true, errp);
}
