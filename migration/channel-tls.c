/*
 * TLS for migration channels: who needs which credentials, and the gate that incoming
 * connections go through.
 *
 * Belongs to the main thread (machine lock), except job_run(): one thread a handshake, which
 * owns nothing but its job until it hands it back to the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/channel-tls.h"

#include "migration/config.h"
#include "system/authz.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "system/tls-creds.h"
#include "util/log.h"
#include "util/util.h"

/* Enough for every channel of a migration; more at once is an attack. */
#define JOBS_MAX 300

/* ---- outgoing ---- */

static const char *host_of(const MigrateAddress *a)
{
    return a->transport == MIG_TRANSPORT_SOCKET && a->socket->type == SOCKET_INET &&
                   a->socket->host && a->socket->host[0]
               ? a->socket->host
               : NULL;
}

static bool can_do_tls(const MigrateAddress *a, Error **errp)
{
    if (a->transport == MIG_TRANSPORT_FILE) {
        error_setg(errp, "TLS ('tls-creds') needs somebody at the other end, which a file has "
                   "not: unset it or use a socket");
        return false;
    }
    return true;
}

bool mig_tls_outgoing(const MigrateAddress *a, MigTls **ret, Error **errp)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    const char *host = c->tls_hostname[0] ? c->tls_hostname : host_of(a);
    TlsCreds *creds;

    *ret = NULL;
    if (!c->tls_creds[0]) {
        return true;
    }
    if (!can_do_tls(a, errp)) {
        return false;
    }
    creds = tls_creds_lookup(c->tls_creds, false, errp);
    if (!creds) {
        return false;
    }
    if (tls_creds_wants_hostname(creds) && !host) {
        error_setg(errp, "No hostname available for TLS: set 'tls-hostname' to the name in the "
                   "destination's certificate (the address has none)");
        tls_creds_unref(creds);
        return false;
    }
    *ret = g_new0(MigTls, 1);
    (*ret)->creds = creds;
    (*ret)->hostname = g_strdup(host);
    return true;
}

void mig_tls_free(MigTls *tls)
{
    if (tls) {
        tls_creds_unref(tls->creds);
        g_free(tls->hostname);
        g_free(tls);
    }
}

/* ---- incoming ---- */

/* Handshake, and tls-authz: may this peer come in? */
static bool let_in(IOChannel *ioc, const char *authz, Error **errp)
{
    g_autofree char *peer = NULL;
    bool ok = true;

    if (!io_channel_tls_handshake(ioc, MIG_TLS_TIMEOUT_MS, errp)) {
        return false;
    }
    if (authz[0]) {
        peer = io_channel_tls_peer(ioc);
        MACHINE_LOCK_GUARD();
        ok = authz_check(authz, peer, errp);
    }
    if (!ok) {
        error_prefix(errp, "tls-authz: ");
        io_channel_tls_deny(ioc);
    }
    return ok;
}

IOChannel *mig_tls_secure_incoming(IOChannel *raw, TlsCreds *creds, const char *authz,
                                   Error **errp)
{
    g_autoptr(IOChannel) ioc = NULL;

    if (!creds) {
        return raw;
    }
    ioc = io_channel_tls_new(raw, creds, NULL, errp);
    return ioc && let_in(ioc, authz, errp) ? g_steal_pointer(&ioc) : NULL;
}

bool mig_tls_check_incoming(const MigrateAddress *a, Error **errp)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    g_autoptr(TlsCreds) creds = NULL;

    if (!c->tls_creds[0]) {
        return true;
    }
    if (!can_do_tls(a, errp)) {
        return false;
    }
    creds = tls_creds_lookup(c->tls_creds, true, errp);
    return creds != NULL;
}

/* A connection on its way in.  Between job_run() and job_done() it is that thread's. */
typedef struct Job {
    MigTlsGate *gate; /* main thread; NULL: the gate is gone */
    IOChannel *ioc;   /* owned; the main thread may shut it down */
    char *authz;      /* constant; "" none */
    bool done;        /* main thread */
    Error *err;       /* why it is refused; NULL: it is not */
} Job;

struct MigTlsGate {
    MigAccepted *accepted;
    void *opaque;
    GQueue jobs;      /* of Job, oldest first */
    char *refusal;
    bool busy, dead;  /* inside accepted(); freed meanwhile */
};

static void job_free(Job *j)
{
    io_channel_unref(j->ioc);
    g_clear_error(&j->err);
    g_free(j->authz);
    g_free(j);
}

MigTlsGate *mig_tls_gate_new(MigAccepted *accepted, void *opaque)
{
    MigTlsGate *g = g_new0(MigTlsGate, 1);

    g->accepted = accepted;
    g->opaque = opaque;
    g_queue_init(&g->jobs);
    return g;
}

static void gate_release(MigTlsGate *g)
{
    if (g->dead && !g->busy) {
        g_free(g->refusal);
        g_free(g);
    }
}

void mig_tls_gate_free(MigTlsGate *g)
{
    Job *j;

    while ((j = g_queue_pop_head(&g->jobs))) {
        j->gate = NULL;
        if (j->done) {
            job_free(j);
        } else {
            io_channel_shutdown(j->ioc, IO_SHUTDOWN_BOTH, NULL);
        }
    }
    g->dead = true;
    gate_release(g);
}

const char *mig_tls_gate_refusal(const MigTlsGate *g)
{
    return g->refusal;
}

static void refuse(MigTlsGate *g, const char *why)
{
    warn_report("a migration connection was refused: %s", why);
    g_free(g->refusal);
    g->refusal = g_strdup(why);
}

/* Whoever is at the head and done goes in, or away. */
static void gate_deliver(MigTlsGate *g)
{
    Job *j;

    while (!g->dead && (j = g_queue_peek_head(&g->jobs)) && j->done) {
        g_queue_pop_head(&g->jobs);
        if (j->err) {
            refuse(g, error_get_pretty(j->err));
        } else {
            g->busy = true;
            g->accepted(g_steal_pointer(&j->ioc), g->opaque);
            g->busy = false;
        }
        job_free(j);
    }
    gate_release(g);
}

static void job_done(void *opaque)
{
    Job *j = opaque;

    j->done = true;
    if (j->gate) {
        gate_deliver(j->gate);
    } else {
        job_free(j);
    }
}

static gpointer job_run(gpointer opaque)
{
    Job *j = opaque;

    let_in(j->ioc, j->authz, &j->err);
    main_loop_call(job_done, j);
    return NULL;
}

bool mig_tls_gate_take(MigTlsGate *g, IOChannel *ioc)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    g_autoptr(TlsCreds) creds = NULL;
    g_autoptr(Error) err = NULL;
    IOChannel *tls = NULL;
    GThread *thread;
    Job *j;

    if (!c->tls_creds[0]) {
        return false;
    }
    if (g_queue_get_length(&g->jobs) >= JOBS_MAX) {
        error_setg(&err, "%d connections are in a TLS handshake already", JOBS_MAX);
        io_channel_unref(ioc);
    } else if (!(creds = tls_creds_lookup(c->tls_creds, true, &err))) {
        io_channel_unref(ioc);
    } else {
        tls = io_channel_tls_new(ioc, creds, NULL, &err);
    }
    if (!tls) {
        refuse(g, error_get_pretty(err));
        return true;
    }
    j = g_new0(Job, 1);
    j->gate = g;
    j->ioc = tls;
    j->authz = g_strdup(c->tls_authz);
    thread = thread_try_start("mig/dst/tls", job_run, j, &err);
    if (!thread) {
        refuse(g, error_get_pretty(err));
        job_free(j);
        return true;
    }
    g_queue_push_tail(&g->jobs, j);
    g_thread_unref(thread);
    return true;
}
