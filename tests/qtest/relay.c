/*
 * A relay between two sockets.  One thread accepts, two a connection copy; all is under one lock
 * but the IO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE 65536
#define RULES 8
/* Number of a connection from before the rules were cleared. */
#define OLD_LINK (-2)

/* One direction of a connection.  Its thread's, but `moved`. */
typedef struct Lane {
    uint64_t moved;    /* lock: bytes */
    bool ended;        /* lock */
    bool done[RULES];  /* rules that have acted */
    uint64_t change;   /* so many bytes are to be changed, */
    uint64_t leave_out; /* left out; */
    uint64_t at_a_time; /* go at a time, 0: any number */
} Lane;

typedef struct Link {
    Relay *relay;
    int number;        /* lock */
    int fd[2];         /* where it comes from, where it goes to */
    Lane lane[2];
    GThread *thread[2];
    bool refused;      /* lock: nothing goes forward, and that is not the end of it */
    bool over;         /* lock */
} Link;

struct Relay {
    char *to;          /* lock */
    int listener;
    GThread *thread;
    GMutex lock;
    GPtrArray *links;  /* lock; of Link */
    int next_number;   /* lock */
    uint64_t limit[2]; /* lock */
    bool hold_back;    /* lock: what comes back is kept for now */
    GCond released;    /* hold_back, rules, over */
    RelayRule rules[RULES]; /* lock */
    unsigned n_rules, acted; /* lock */
};

/* Lock held. */
static void shut(Link *l)
{
    l->over = true;
    shutdown(l->fd[0], SHUT_RDWR);
    shutdown(l->fd[1], SHUT_RDWR);
    g_cond_broadcast(&l->relay->released);
}

/* Lock held.  Dissolving the connection of a TCP socket tells the peer that there is none. */
static void reset(Link *l)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };

    connect(l->fd[0], &none, sizeof(none));
    connect(l->fd[1], &none, sizeof(none));
    shut(l);
}

/* How many of n bytes may pass before a limit. */
static size_t allow(Link *l, int dir, size_t n)
{
    Relay *r = l->relay;
    uint64_t left;

    g_mutex_lock(&r->lock);
    left = r->limit[dir] > l->lane[dir].moved ? r->limit[dir] - l->lane[dir].moved : 0;
    n = MIN(n, left);
    g_mutex_unlock(&r->lock);
    return n;
}

/* Until what is to go back may. */
static void wait_released(Relay *r)
{
    g_mutex_lock(&r->lock);
    while (r->hold_back) {
        g_cond_wait(&r->released, &r->lock);
    }
    g_mutex_unlock(&r->lock);
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return false;
        }
        data += n;
        len -= n;
    }
    return true;
}

static void count(Link *l, int dir, size_t n)
{
    g_mutex_lock(&l->relay->lock);
    l->lane[dir].moved += n;
    g_mutex_unlock(&l->relay->lock);
}

/* ---- rules ---- */

/* Lock held: the next rule for this lane, -1: none. */
static int next_rule(Link *l, int dir)
{
    Relay *r = l->relay;
    int best = -1;

    for (unsigned i = 0; i < r->n_rules; i++) {
        const RelayRule *rule = &r->rules[i];

        if (rule->dir == dir && !l->lane[dir].done[i] &&
            (rule->connection == RELAY_ANY || rule->connection == l->number) &&
            (best < 0 || rule->at < r->rules[best].at)) {
            best = i;
        }
    }
    return best;
}

/* Lock held.  False: that was the end. */
static bool act(Link *l, int dir, int i)
{
    Relay *r = l->relay;
    RelayRule rule = r->rules[i];
    Lane *lane = &l->lane[dir];

    lane->done[i] = true;
    r->acted++;
    switch (rule.action) {
    case RELAY_CUT:
        shut(l);
        return false;
    case RELAY_RESET:
        reset(l);
        return false;
    case RELAY_STALL:
        while (r->n_rules && !l->over) {
            g_cond_wait(&r->released, &r->lock);
        }
        return !l->over;
    case RELAY_CORRUPT:
        lane->change = rule.amount;
        break;
    case RELAY_DROP:
        lane->leave_out = rule.amount;
        break;
    case RELAY_INSERT: {
        g_autofree char *more = g_malloc(rule.amount);

        memset(more, 0xaa, rule.amount);
        g_mutex_unlock(&r->lock);
        send_all(l->fd[!dir], more, rule.amount);
        g_mutex_lock(&r->lock);
        break;
    }
    case RELAY_TRICKLE:
        lane->at_a_time = rule.amount;
        break;
    }
    return true;
}

/* Rules for this place act; how many of n bytes come before the next one.  0: the end. */
static size_t until_rule(Link *l, int dir, size_t n)
{
    Relay *r = l->relay;
    bool goes_on = true;
    int i;

    g_mutex_lock(&r->lock);
    while (goes_on && (i = next_rule(l, dir)) >= 0) {
        uint64_t moved = l->lane[dir].moved;

        if (r->rules[i].at > moved) {
            n = MIN(n, r->rules[i].at - moved);
            break;
        }
        goes_on = act(l, dir, i);
    }
    g_mutex_unlock(&r->lock);
    return goes_on ? n : 0;
}

/* Bytes of one kind go on: how many of the n, 0: the end. */
static size_t pass(Link *l, int dir, char *data, size_t n, bool *ret_went_away)
{
    Lane *lane = &l->lane[dir];

    n = until_rule(l, dir, n);
    if (n && lane->leave_out) {
        n = MIN(n, lane->leave_out);
        lane->leave_out -= n;
        count(l, dir, n);
        return n;
    }
    if (n && lane->change) {
        n = MIN(n, lane->change);
        lane->change -= n;
        for (size_t i = 0; i < n; i++) {
            data[i] ^= 0x5a;
        }
    }
    if (n && lane->at_a_time) {
        n = MIN(n, lane->at_a_time);
        g_usleep(1000);
    }
    count(l, dir, n);
    *ret_went_away = n && !send_all(l->fd[!dir], data, n);
    return *ret_went_away ? 0 : n;
}

/* ---- carrying ---- */

static bool pass_all(Link *l, int dir, char *data, size_t n, bool *ret_went_away)
{
    while (n) {
        size_t went = pass(l, dir, data, n, ret_went_away);

        if (!went) {
            return false;
        }
        data += went;
        n -= went;
    }
    return true;
}

static void carry(Link *l, int dir)
{
    g_autofree char *buf = g_malloc(PIECE);
    bool went_away = false; /* who it goes to */
    ssize_t n;

    while ((n = recv(l->fd[dir], buf, PIECE, 0)) > 0) {
        size_t may = allow(l, dir, n);

        if (dir == RELAY_BACK) {
            wait_released(l->relay);
        }
        if (!pass_all(l, dir, buf, may, &went_away) || may < (size_t)n) {
            break;
        }
    }
    g_mutex_lock(&l->relay->lock);
    l->lane[dir].ended = true;
    if (n > 0 && !l->over && !went_away) {
        shut(l); /* a limit or a rule */
    } else if (!(dir == RELAY_FORWARD && l->refused)) {
        /* One direction has ended; the other one goes on until it does. */
        shutdown(l->fd[dir], SHUT_RD);
        shutdown(l->fd[!dir], SHUT_WR);
    }
    g_mutex_unlock(&l->relay->lock);
}

static void *carry_forward(void *opaque)
{
    carry(opaque, RELAY_FORWARD);
    return NULL;
}

static void *carry_back(void *opaque)
{
    carry(opaque, RELAY_BACK);
    return NULL;
}

/* ---- addresses ---- */

typedef struct Address {
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } u;
    socklen_t len;
} Address;

static Address address_of(const char *text)
{
    Address a = { .len = sizeof(a.u.un) };

    if (g_str_has_prefix(text, "tcp:")) {
        a.len = sizeof(a.u.in);
        a.u.in.sin_family = AF_INET;
        a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.u.in.sin_port = htons(atoi(text + 4));
    } else {
        a.u.un.sun_family = AF_UNIX;
        g_strlcpy(a.u.un.sun_path, text, sizeof(a.u.un.sun_path));
    }
    return a;
}

static int connect_to(Relay *r)
{
    Address a;
    int fd;

    g_mutex_lock(&r->lock);
    a = address_of(r->to);
    g_mutex_unlock(&r->lock);
    fd = socket(a.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &a.u.any, a.len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- the relay ---- */

static void *accept_thread(void *opaque)
{
    Relay *r = opaque;
    int fd;

    while ((fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        int other = connect_to(r);
        Link *l;

        if (other < 0) {
            close(fd); /* nobody listens there: the caller sees a connection that ends */
            continue;
        }
        l = g_new0(Link, 1);
        l->relay = r;
        l->fd[0] = fd;
        l->fd[1] = other;
        g_mutex_lock(&r->lock);
        l->number = r->next_number++;
        g_ptr_array_add(r->links, l);
        l->thread[0] = g_thread_new("forward", carry_forward, l);
        l->thread[1] = g_thread_new("back", carry_back, l);
        g_mutex_unlock(&r->lock);
    }
    return NULL;
}

Relay *relay_new(const char *path, const char *to)
{
    Address a = address_of(path);
    Relay *r = g_new0(Relay, 1);

    g_mutex_init(&r->lock);
    g_cond_init(&r->released);
    r->to = g_strdup(to);
    r->links = g_ptr_array_new();
    r->limit[0] = r->limit[1] = RELAY_NO_LIMIT;
    r->listener = socket(a.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(r->listener, &a.u.any, a.len), ==, 0);
    g_assert_cmpint(listen(r->listener, 8), ==, 0);
    r->thread = g_thread_new("relay", accept_thread, r);
    return r;
}

void relay_set_to(Relay *r, const char *to)
{
    g_mutex_lock(&r->lock);
    g_free(r->to);
    r->to = g_strdup(to);
    g_mutex_unlock(&r->lock);
}

unsigned relay_port(Relay *r)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);

    g_assert_cmpint(getsockname(r->listener, (struct sockaddr *)&in, &len), ==, 0);
    g_assert_cmpint(in.sin_family, ==, AF_INET);
    return ntohs(in.sin_port);
}

void relay_add_rule(Relay *r, RelayRule rule)
{
    g_mutex_lock(&r->lock);
    g_assert_cmpuint(r->n_rules, <, RULES);
    r->rules[r->n_rules++] = rule;
    g_mutex_unlock(&r->lock);
}

void relay_clear_rules(Relay *r)
{
    g_mutex_lock(&r->lock);
    r->n_rules = 0;
    r->next_number = 0;
    for (guint i = 0; i < r->links->len; i++) {
        Link *l = r->links->pdata[i];

        l->number = OLD_LINK; /* of no rule to come but those for any */
        for (int dir = 0; dir < 2; dir++) {
            memset(l->lane[dir].done, 0, sizeof(l->lane[dir].done));
            l->lane[dir].at_a_time = 0;
        }
    }
    g_cond_broadcast(&r->released);
    g_mutex_unlock(&r->lock);
}

#define QUIET_US 50000

/* A migration makes its main connection first. */
static Link *oldest_alive(Relay *r)
{
    Link *found = NULL;

    g_mutex_lock(&r->lock);
    for (guint i = 0; i < r->links->len && !found; i++) {
        Link *l = r->links->pdata[i];

        found = l->over || (l->lane[0].ended && l->lane[1].ended) ? NULL : l;
    }
    g_mutex_unlock(&r->lock);
    g_assert_nonnull(found);
    return found; /* lives as long as the relay */
}

static uint64_t moved_by(Link *l, int dir)
{
    uint64_t n;

    g_mutex_lock(&l->relay->lock);
    n = l->lane[dir].moved;
    g_mutex_unlock(&l->relay->lock);
    return n;
}

void relay_inject(Relay *r, RelayDirection dir, size_t amount)
{
    g_autofree char *junk = g_malloc(amount);
    uint64_t before, now = UINT64_MAX;
    Link *l = oldest_alive(r);

    memset(junk, 0xaa, amount);
    do {
        before = now;
        g_usleep(QUIET_US);
        now = moved_by(l, dir);
    } while (now != before);
    g_assert_true(send_all(l->fd[!dir], junk, amount));
}

unsigned relay_acted(Relay *r)
{
    unsigned n;

    g_mutex_lock(&r->lock);
    n = r->acted;
    g_mutex_unlock(&r->lock);
    return n;
}

void relay_cut(Relay *r)
{
    g_mutex_lock(&r->lock);
    for (guint i = 0; i < r->links->len; i++) {
        shut(r->links->pdata[i]);
    }
    g_mutex_unlock(&r->lock);
}

void relay_hold_back(Relay *r)
{
    g_mutex_lock(&r->lock);
    r->hold_back = true;
    g_mutex_unlock(&r->lock);
}

void relay_release_back(Relay *r)
{
    g_mutex_lock(&r->lock);
    r->hold_back = false;
    g_cond_broadcast(&r->released);
    g_mutex_unlock(&r->lock);
}

void relay_refuse(Relay *r)
{
    g_mutex_lock(&r->lock);
    for (guint i = 0; i < r->links->len; i++) {
        Link *l = r->links->pdata[i];

        l->refused = true;
        shutdown(l->fd[0], SHUT_RD);
        shutdown(l->fd[1], SHUT_WR);
    }
    g_mutex_unlock(&r->lock);
}

void relay_cut_newest(Relay *r)
{
    g_mutex_lock(&r->lock);
    g_assert_cmpuint(r->links->len, >, 0);
    shut(r->links->pdata[r->links->len - 1]);
    g_mutex_unlock(&r->lock);
}

void relay_free(Relay *r)
{
    shutdown(r->listener, SHUT_RDWR);
    g_thread_join(r->thread);
    relay_cut(r);
    relay_release_back(r);
    for (guint i = 0; i < r->links->len; i++) {
        Link *l = r->links->pdata[i];

        g_thread_join(l->thread[0]);
        g_thread_join(l->thread[1]);
        close(l->fd[0]);
        close(l->fd[1]);
        g_free(l);
    }
    close(r->listener);
    g_ptr_array_free(r->links, TRUE);
    g_mutex_clear(&r->lock);
    g_cond_clear(&r->released);
    g_free(r->to);
    g_free(r);
}

void relay_set_limits(Relay *r, uint64_t forward, uint64_t back)
{
    g_mutex_lock(&r->lock);
    r->limit[RELAY_FORWARD] = forward;
    r->limit[RELAY_BACK] = back;
    for (guint i = 0; i < r->links->len; i++) {
        Link *l = r->links->pdata[i];

        if (l->lane[RELAY_FORWARD].moved >= forward || l->lane[RELAY_BACK].moved >= back) {
            shut(l);
        }
    }
    g_mutex_unlock(&r->lock);
}

static uint64_t moved(Relay *r, int dir)
{
    uint64_t n = 0;

    g_mutex_lock(&r->lock);
    if (r->links->len) {
        n = ((Link *)r->links->pdata[r->links->len - 1])->lane[dir].moved;
    }
    g_mutex_unlock(&r->lock);
    return n;
}

uint64_t relay_total(Relay *r, RelayDirection dir)
{
    uint64_t n = 0;

    g_mutex_lock(&r->lock);
    for (guint i = 0; i < r->links->len; i++) {
        n += ((Link *)r->links->pdata[i])->lane[dir].moved;
    }
    g_mutex_unlock(&r->lock);
    return n;
}

uint64_t relay_forward(Relay *r)
{
    return moved(r, RELAY_FORWARD);
}

uint64_t relay_back(Relay *r)
{
    return moved(r, RELAY_BACK);
}
