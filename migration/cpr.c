/*
 * Modes cpr-transfer and cpr-exec: what goes ahead of the main stream.
 *
 * Source: migration thread.  Destination: main thread, before there is a machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cpr.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpr-state.h"
#include "migration/migration.h"
#include "system/async-teardown.h"
#include "system/kept-fds.h"
#include "system/machine-lock.h"
#include "system/ramblock.h"
#include "system/sandbox.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"

#define STATE_VARIABLE "QEMU_CPR_EXEC_STATE" /* known to other programs */

bool cpr_keeps_memory(const MigConfig *config)
{
    return config->mode == MIG_MODE_CPR_TRANSFER || config->mode == MIG_MODE_CPR_EXEC;
}

/* ---- may it start? ---- */

static bool check_memory(const MigConfig *config, Error **errp)
{
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        if (rb->used_length && (!rb->shared || rb->fd < 0)) {
            error_setg(errp, "mode '%s': RAM block '%s' cannot be handed over, as it is not shared "
                       "memory: give the machine a memory-backend-memfd or memory-backend-file "
                       "with share=on", mig_param_enum_name(MIG_PARAM_MODE, config->mode),
                       rb->idstr);
            return false;
        }
    }
    return true;
}

static bool check_exec(const MigConfig *config, const MigrateAddress *main_addr, Error **errp)
{
    g_autofree char *program = NULL;

    if (!config->cpr_exec_command[0]) {
        error_setg(errp, "mode 'cpr-exec' needs the parameter 'cpr-exec-command'");
        return false;
    }
    if (main_addr->transport == MIG_TRANSPORT_SOCKET) {
        error_setg(errp, "mode 'cpr-exec' needs a file: nobody reads a socket while this program "
                   "becomes the other one");
        return false;
    }
    if (!sandbox_may_exec("mode 'cpr-exec'", errp)) {
        return false;
    }
    program = g_find_program_in_path(config->cpr_exec_command[0]);
    if (!program) {
        error_setg(errp, "cpr-exec-command: there is no program '%s'", config->cpr_exec_command[0]);
        return false;
    }
    return true;
}

bool cpr_check_start(const MigConfig *config, const MigrateAddress *main_addr,
                     const MigrateAddress *cpr, Error **errp)
{
    if ((config->mode == MIG_MODE_CPR_TRANSFER) != (cpr != NULL)) {
        error_setg(errp, cpr ? "a channel of type cpr is for mode 'cpr-transfer' only"
                             : "mode 'cpr-transfer' needs a channel of type cpr");
        return false;
    }
    if (cpr && (cpr->transport != MIG_TRANSPORT_SOCKET || cpr->socket->type != SOCKET_UNIX)) {
        error_setg(errp, "the cpr channel must be a unix socket: descriptors are handed over on it");
        return false;
    }
    if (config->mode == MIG_MODE_CPR_EXEC && !check_exec(config, main_addr, errp)) {
        return false;
    }
    return !cpr_keeps_memory(config) || check_memory(config, errp);
}

/* ---- source ---- */

static GArray *memory_fds(void)
{
    GArray *fds = g_array_new(false, true, sizeof(CprFd));

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        CprFd c = { .fd = rb->fd };

        if (rb->fd >= 0) {
            g_strlcpy(c.name, rb->idstr, sizeof(c.name));
            g_array_append_val(fds, c);
        }
    }
    return fds;
}

bool cpr_transfer(Migration *m, Error **errp)
{
    g_autoptr(GArray) fds = memory_fds();
    IOChannel *ioc = mig_connector_connect(m->cpr_connector, errp);
    char byte;
    bool ok;

    if (!ioc) {
        error_prefix(errp, "cpr channel: ");
        return false;
    }
    migration_set_cpr_channel(m, ioc);
    ok = cpr_state_write(ioc->fd_out, true, fds, errp) &&
         io_channel_shutdown(ioc, IO_SHUTDOWN_WRITE, errp);
    if (ok && io_channel_read_all(ioc, &byte, 1, errp) != 0) {
        if (errp && !*errp) {
            error_setg(errp, "it answers, which is not expected");
        }
        ok = false;
    }
    if (!ok) {
        error_prefix(errp, "cpr channel: ");
    }
    trace_cpr_transfer(fds->len, ok);
    migration_set_cpr_channel(m, NULL);
    io_channel_unref(ioc);
    return ok && !migration_cancelled(m);
}

static void set_cloexec(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFD);

    fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

static void keep_open(const GArray *fds, int state, bool keep)
{
    for (guint i = 0; i < fds->len; i++) {
        set_cloexec(g_array_index(fds, CprFd, i).fd, !keep);
    }
    set_cloexec(state, !keep);
}

/* Becoming another program. */
typedef struct Become {
    char **command;
    const char *program; /* NULL: as command[0] says */
    int err;             /* errno: it failed */
} Become;

static void do_become(void *opaque)
{
    Become *b = opaque;
    sigset_t none, before;

    /* The new program must hear signals that this thread does not. */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    execv(b->program ? b->program : b->command[0], b->command);
    b->err = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void restart_teardown(void)
{
    g_autoptr(Error) err = NULL;

    if (!async_teardown_start(&err)) {
        warn_report("%s", err->message);
    }
}

bool cpr_exec(Migration *m, Error **errp)
{
    g_autoptr(GArray) fds = memory_fds();
    g_auto(AutoFd) state = memfd_create("ferry-cpr", MFD_CLOEXEC);
    g_autofree char *number = g_strdup_printf("%d", state);
    char **command = m->config->cpr_exec_command;
    g_autofree char *program = g_find_program_in_path(command[0]);
    Become become = { .command = command, .program = program };
    bool teardown;

    if (state < 0) {
        error_setg_errno(errp, errno, "cannot make a memfd");
        return false;
    }
    if (!cpr_state_write(state, false, fds, errp)) {
        return false;
    }
    trace_cpr_exec(command[0]);
    teardown = async_teardown_stop(); /* it would keep the memory of this program */
    /* Nobody forks meanwhile: what children would inherit is fixed. */
    MACHINE_LOCK_GUARD();
    keep_open(fds, state, true);
    g_setenv(STATE_VARIABLE, number, true);
    run_spawning(do_become, &become);
    error_setg_errno(errp, become.err, "cannot become '%s'", command[0]);
    g_unsetenv(STATE_VARIABLE);
    keep_open(fds, state, false);
    if (teardown) {
        restart_teardown();
    }
    return false;
}

/* ---- destination ---- */

static IOChannel *source_waits; /* main thread: the cpr channel, until we listen */

void cpr_listening(void)
{
    const char *left = kept_fd_left();

    if (left) {
        warn_report("memory '%s' was handed over, and this machine has none of that name", left);
        kept_fds_clear();
    }
    g_clear_pointer(&source_waits, io_channel_unref);
}

bool cpr_is_option(const char *arg)
{
    g_autoptr(MigrateAddress) cpr = migrate_cpr_address_from_option(arg, NULL);

    return cpr != NULL;
}

static bool set_mode(MigMode mode, Error **errp)
{
    MigParamChange change = { .param = MIG_PARAM_MODE, .num = mode };

    return mig_settings_set_params(mig_settings(), &change, 1, false, errp);
}

static IOChannel *accept_one(const MigrateAddress *addr, Error **errp)
{
    g_autoptr(MigAcceptor) acceptor = mig_acceptor_new(addr, errp);
    IOChannel *ioc = NULL;

    while (acceptor && !ioc && !(errp && *errp)) {
        struct pollfd p = { .fd = mig_acceptor_fd(acceptor), .events = POLLIN };

        if (p.fd < 0) {
            error_setg(errp, "nobody will connect");
            break;
        }
        if (poll(&p, 1, -1) > 0) {
            ioc = mig_acceptor_take(acceptor, errp);
        }
    }
    return ioc;
}

static bool load_transfer(const MigrateAddress *addr, Error **errp)
{
    if (addr->transport != MIG_TRANSPORT_SOCKET || addr->socket->type != SOCKET_UNIX) {
        error_setg(errp, "it must be a unix socket");
        return false;
    }
    source_waits = accept_one(addr, errp);
    return source_waits && cpr_state_read(source_waits->fd_in, true, kept_fd_add, errp) &&
           set_mode(MIG_MODE_CPR_TRANSFER, errp);
}

/* Inherited: checked that it exists, and never inherited further. */
static bool keep_inherited(const char *name, int id, int fd, Error **errp)
{
    if (fd <= STDERR_FILENO || fcntl(fd, F_GETFD) < 0) {
        error_setg(errp, "descriptor %d of '%s' was not inherited", fd, name);
        return false;
    }
    set_cloexec(fd, true);
    return kept_fd_add(name, id, fd, errp);
}

static bool load_exec(const char *number, Error **errp)
{
    g_auto(AutoFd) state = -1;
    uint64_t fd;

    if (!parse_u64(number, &fd) || fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0) {
        error_setg(errp, STATE_VARIABLE "=%s is not a descriptor that was inherited", number);
        return false;
    }
    state = (int)fd;
    if (lseek(state, 0, SEEK_SET) < 0) {
        error_setg_errno(errp, errno, STATE_VARIABLE "=%s", number);
        return false;
    }
    return cpr_state_read(state, false, keep_inherited, errp) && set_mode(MIG_MODE_CPR_EXEC, errp);
}

bool migration_take_kept(const GPtrArray *incoming, Error **errp)
{
    const char *number = g_getenv(STATE_VARIABLE);

    if (number) {
        g_autofree char *copy = g_strdup(number);

        g_unsetenv(STATE_VARIABLE);
        return load_exec(copy, errp);
    }
    for (guint i = 0; i < incoming->len; i++) {
        g_autoptr(MigrateAddress) cpr = migrate_cpr_address_from_option(incoming->pdata[i], NULL);

        if (cpr && incoming->len < 2) {
            error_setg(errp, "-incoming: a cpr channel alone is not enough: give a main one too");
            return false;
        }
        if (cpr && !load_transfer(cpr, errp)) {
            error_prefix(errp, "cpr channel: ");
            return false;
        }
    }
    return true;
}
