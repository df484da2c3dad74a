/*
 * Descriptors with their names, to and from a socket or a file.
 *
 * Belongs to the thread that calls it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cpr-state.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/util.h"
#include "wire.h"

/* ---- bytes ---- */

/* False: errno of the last call says that it is over. */
static bool wait_more(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    if (errno == EINTR) {
        return true;
    }
    return (errno == EAGAIN || errno == EWOULDBLOCK) && (poll(&p, 1, -1) > 0 || errno == EINTR);
}

static bool write_bytes(int fd, bool rights, const void *buf, size_t len, Error **errp)
{
    while (len) {
        ssize_t n = rights ? send(fd, buf, len, MSG_NOSIGNAL) : write(fd, buf, len);

        if (n > 0) {
            buf = (const char *)buf + n;
            len -= n;
        } else if (n == 0 || !wait_more(fd, POLLOUT)) {
            error_setg_errno(errp, errno, "cannot write the state of descriptors");
            return false;
        }
    }
    return true;
}

static bool send_right(int sock, int fd, Error **errp)
{
    char byte = ' ';
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control.space) };

    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                       .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    while (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0) {
        if (!wait_more(sock, POLLOUT)) {
            error_setg_errno(errp, errno, "cannot hand a descriptor over");
            return false;
        }
    }
    return true;
}

bool cpr_state_write(int fd, bool rights, const GArray *fds, Error **errp)
{
    uint8_t word[8];

    wire_put_be32(word, CPR_MAGIC);
    wire_put_be32(word + 4, CPR_VERSION);
    if (!write_bytes(fd, rights, word, 8, errp)) {
        return false;
    }
    for (guint i = 0; i < fds->len; i++) {
        const CprFd *c = &g_array_index(fds, CprFd, i);
        uint32_t len = strlen(c->name) + 1;
        g_autoptr(GByteArray) b = g_byte_array_new();

        g_byte_array_append(b, (const uint8_t *)"\1", 1);
        wire_put_be32(word, len);
        g_byte_array_append(b, word, 4);
        g_byte_array_append(b, (const uint8_t *)c->name, len);
        wire_put_be32(word, c->id);
        g_byte_array_append(b, word, 4);
        wire_put_be32(word, c->fd);
        if (!rights) {
            g_byte_array_append(b, word, 4);
        }
        if (!write_bytes(fd, rights, b->data, b->len, errp) ||
            (rights && !send_right(fd, c->fd, errp))) {
            return false;
        }
    }
    return write_bytes(fd, rights, "\0", 1, errp);
}

/* ---- reading ---- */

typedef struct Reader {
    int fd;
    bool rights;
    int came; /* a descriptor that came and was not used yet, -1: none */
} Reader;

/* At most one descriptor may be on its way at a time. */
static bool keep_rights(Reader *r, struct msghdr *msg, Error **errp)
{
    bool ok = !(msg->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n = c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (r->came < 0) {
                r->came = fd;
            } else {
                close(fd);
                ok = false;
            }
        }
    }
    if (!ok) {
        error_setg(errp, "the state of descriptors: more of them came than it names");
    }
    return ok;
}

static ssize_t read_some(Reader *r, void *buf, size_t len, bool *ret_ok, Error **errp)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { buf, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control.space) };
    ssize_t n;

    *ret_ok = true;
    if (!r->rights) {
        return read(r->fd, buf, len);
    }
    n = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC);
    if (n > 0) {
        *ret_ok = keep_rights(r, &msg, errp);
    }
    return n;
}

static bool read_bytes(Reader *r, void *buf, size_t len, const char *what, Error **errp)
{
    while (len) {
        bool ok;
        ssize_t n = read_some(r, buf, len, &ok, errp);

        if (!ok) {
            return false;
        }
        if (n > 0) {
            buf = (char *)buf + n;
            len -= n;
        } else if (n == 0 || !wait_more(r->fd, POLLIN)) {
            error_setg(errp, "the state of descriptors ends inside %s: %s", what,
                       n ? g_strerror(errno) : "nothing more comes");
            return false;
        }
    }
    return true;
}

static bool read_be32(Reader *r, const char *what, uint32_t *ret, Error **errp)
{
    uint8_t word[4];

    if (!read_bytes(r, word, sizeof(word), what, errp)) {
        return false;
    }
    *ret = wire_get_be32(word);
    return true;
}

static bool read_name(Reader *r, CprFd *c, Error **errp)
{
    uint32_t len;

    if (!read_be32(r, "a name", &len, errp)) {
        return false;
    }
    if (len < 2 || len > sizeof(c->name)) {
        error_setg(errp, "the state of descriptors: a name of %" PRIu32 " bytes, 2 to %zu are "
                   "possible", len, sizeof(c->name));
        return false;
    }
    if (!read_bytes(r, c->name, len, "a name", errp)) {
        return false;
    }
    if (strlen(c->name) != len - 1 && memchr(c->name, 0, len) != c->name + len - 1) {
        error_setg(errp, "the state of descriptors: a name does not end where it says");
        return false;
    }
    return true;
}

/* The descriptor itself; the caller owns it. */
static bool read_fd(Reader *r, CprFd *c, Error **errp)
{
    uint32_t number;
    char byte;

    if (!r->rights) {
        if (!read_be32(r, "a descriptor", &number, errp)) {
            return false;
        }
        c->fd = number > INT32_MAX ? -1 : (int)number;
    } else {
        if (!read_bytes(r, &byte, 1, "a descriptor", errp)) {
            return false;
        }
        c->fd = r->came;
        r->came = -1;
    }
    if (c->fd < 0) {
        error_setg(errp, "the state of descriptors: '%s' came without its descriptor", c->name);
        return false;
    }
    return true;
}

static bool read_all(Reader *r, bool (*take)(const char *, int, int, Error **), Error **errp)
{
    uint32_t magic, version, id;

    if (!read_be32(r, "its head", &magic, errp) || !read_be32(r, "its head", &version, errp)) {
        return false;
    }
    if (magic != CPR_MAGIC || version != CPR_VERSION) {
        error_setg(errp, "this is no state of descriptors of version %d: it begins with 0x%08" PRIx32
                   " %" PRIu32, CPR_VERSION, magic, version);
        return false;
    }
    for (unsigned n = 0;; n++) {
        CprFd c = { .fd = -1 };
        uint8_t more;

        if (!read_bytes(r, &more, 1, "its list", errp)) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (more != 1 || n == CPR_FDS_MAX) {
            error_setg(errp, "the state of descriptors: %s", more != 1 ? "its list is broken"
                                                                       : "too many of them");
            return false;
        }
        if (!read_name(r, &c, errp) || !read_be32(r, "a number", &id, errp) ||
            !read_fd(r, &c, errp) || !take(c.name, (int32_t)id, c.fd, errp)) {
            return false;
        }
    }
}

bool cpr_state_read(int fd, bool rights,
                    bool (*take)(const char *name, int id, int fd, Error **errp), Error **errp)
{
    Reader r = { .fd = fd, .rights = rights, .came = -1 };
    bool ok = read_all(&r, take, errp);

    if (ok && r.came >= 0) {
        error_setg(errp, "the state of descriptors: one more came than it names");
        ok = false;
    }
    close_fd(&r.came);
    return ok;
}
