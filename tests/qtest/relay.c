/*
 * A relay between two unix sockets.  One thread accepts, two a connection copy; all is
 * under one lock but the IO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "relay.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE 65536

typedef struct Link {
    Relay *relay;
    int fd[2];         /* where it comes from, where it goes to */
    uint64_t moved[2]; /* lock: bytes forward, back */
    GThread *thread[2];
    bool refused;      /* lock: nothing goes forward, and that is not the end of it */
} Link;

struct Relay {
    char *to;
    int listener;
    GThread *thread;
    GMutex lock;
    GPtrArray *links;  /* lock; of Link */
    uint64_t limit[2]; /* lock */
    bool hold_back;    /* lock: what comes back is kept for now */
    GCond released;
};

static void shut(Link *l)
{
    shutdown(l->fd[0], SHUT_RDWR);
    shutdown(l->fd[1], SHUT_RDWR);
}

/* How many of n bytes may pass. */
static size_t allow(Link *l, int dir, size_t n)
{
    Relay *r = l->relay;
    uint64_t left;

    g_mutex_lock(&r->lock);
    left = r->limit[dir] > l->moved[dir] ? r->limit[dir] - l->moved[dir] : 0;
    n = MIN(n, left);
    l->moved[dir] += n;
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

static void carry(Link *l, int dir)
{
    g_autofree char *buf = g_malloc(PIECE);
    bool only_forward;
    ssize_t n;

    while ((n = recv(l->fd[dir], buf, PIECE, 0)) > 0) {
        size_t may = allow(l, dir, n);

        if (dir == 1) {
            wait_released(l->relay);
        }
        if (!send_all(l->fd[!dir], buf, may) || may < (size_t)n) {
            break;
        }
    }
    g_mutex_lock(&l->relay->lock);
    only_forward = dir == 0 && l->refused;
    g_mutex_unlock(&l->relay->lock);
    if (!only_forward) {
        shut(l);
    }
}

static void *carry_forward(void *opaque)
{
    carry(opaque, 0);
    return NULL;
}

static void *carry_back(void *opaque)
{
    carry(opaque, 1);
    return NULL;
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *accept_thread(void *opaque)
{
    Relay *r = opaque;
    int fd;

    while ((fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        int other = connect_to(r->to);
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
        g_ptr_array_add(r->links, l);
        l->thread[0] = g_thread_new("forward", carry_forward, l);
        l->thread[1] = g_thread_new("back", carry_back, l);
        g_mutex_unlock(&r->lock);
    }
    return NULL;
}

Relay *relay_new(const char *path, const char *to)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    Relay *r = g_new0(Relay, 1);

    g_mutex_init(&r->lock);
    g_cond_init(&r->released);
    r->to = g_strdup(to);
    r->links = g_ptr_array_new();
    r->limit[0] = r->limit[1] = RELAY_NO_LIMIT;
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    g_assert_cmpint(bind(r->listener, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(listen(r->listener, 8), ==, 0);
    r->thread = g_thread_new("relay", accept_thread, r);
    return r;
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
    r->limit[0] = forward;
    r->limit[1] = back;
    for (guint i = 0; i < r->links->len; i++) {
        Link *l = r->links->pdata[i];

        if (l->moved[0] >= forward || l->moved[1] >= back) {
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
        n = ((Link *)r->links->pdata[r->links->len - 1])->moved[dir];
    }
    g_mutex_unlock(&r->lock);
    return n;
}

uint64_t relay_forward(Relay *r)
{
    return moved(r, 0);
}

uint64_t relay_back(Relay *r)
{
    return moved(r, 1);
}
