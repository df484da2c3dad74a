/*
 * Byte channels: one vtable over sockets, pipes, files, commands and memory.
 *
 * A channel has one reader and one writer at a time, and any number of users of its positions
 * (pread, pwrite) beside them; io_channel_shutdown() may be called from any thread at any time
 * and makes blocked calls return.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_IO_CHANNEL_H
#define FERRY_IO_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "util/error.h"

typedef struct IOChannel IOChannel;

typedef enum IOShutdown { IO_SHUTDOWN_READ, IO_SHUTDOWN_WRITE, IO_SHUTDOWN_BOTH } IOShutdown;

typedef struct IOChannelClass {
    const char *name; /* "socket", "fd", "file", "exec", "tls", "buffer" */
    bool seekable;
    bool two_way;     /* bytes can come back on it (may be refined per channel) */
    bool shutdown_wakes; /* its own shutdown makes poll() on its descriptors return */
    /*
     * At least one byte moved: the count; read at end of stream: 0; failure: -1 with
     * errp set.  Wait (poll) as long as it takes, also on non-blocking descriptors.
     */
    ssize_t (*readv)(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
    ssize_t (*writev)(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
    /* As readv, but IO_WOULD_BLOCK in place of waiting.  NULL: poll() tells. */
    ssize_t (*try_readv)(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
    ssize_t (*pread)(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp);
    ssize_t (*pwrite)(IOChannel *ioc, const void *buf, size_t len, uint64_t offset, Error **errp);
    int64_t (*seek)(IOChannel *ioc, int64_t offset, int whence, Error **errp);
    /* io_channel_peek(); NULL: cannot. */
    ssize_t (*peek)(IOChannel *ioc, void *buf, size_t len, Error **errp);
    /* Are there bytes to read that the descriptor does not show?  NULL: never. */
    bool (*pending)(IOChannel *ioc);
    bool (*shutdown)(IOChannel *ioc, IOShutdown how, Error **errp);
    bool (*close)(IOChannel *ioc, Error **errp); /* exec: waits for the child, its failure is an error */
    void (*free)(IOChannel *ioc);
} IOChannelClass;

struct IOChannel {
    const IOChannelClass *klass;
    gint ref;       /* atomic */
    char *name;     /* for messages: "migration-main", owned */
    int fd_in, fd_out; /* descriptors to read from / write to, -1: none; owned by the class */
    IOChannel *inner; /* what this one is a layer over (TLS), NULL: none; owned by the class */
    bool two_way;
    bool close_in_peace; /* exec: close() does not wait for the child, which may live 2 s more */
    uint64_t moved; /* atomic: bytes, both directions */
    gint shut;      /* atomic: bits 1 << IO_SHUTDOWN_READ, 1 << IO_SHUTDOWN_WRITE */
    int quit_fd[2]; /* eventfds [IO_SHUTDOWN_READ/WRITE] that wake blocked IO; owned, -1: none */
};

IOChannel *io_channel_ref(IOChannel *ioc);
void io_channel_unref(IOChannel *ioc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IOChannel, io_channel_unref)
void io_channel_set_name(IOChannel *ioc, const char *name);

ssize_t io_channel_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
ssize_t io_channel_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
/* As io_channel_readv(), but never waits: IO_WOULD_BLOCK when there is nothing yet. */
#define IO_WOULD_BLOCK (-EAGAIN)
ssize_t io_channel_try_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
/* All bytes or failure; read: 1 done, 0 clean end before the first byte, -1 error. */
int io_channel_read_all(IOChannel *ioc, void *buf, size_t len, Error **errp);
bool io_channel_writev_all(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
/*
 * What a read would give next, without taking it and without waiting; the reader's thread, and
 * only for classes that have klass->peek.  1 to len bytes (len at most IO_PEEK_MAX): how many
 * are there; 0: end of stream; IO_WOULD_BLOCK: nothing yet; -1: errp set.
 */
#define IO_PEEK_MAX 8
ssize_t io_channel_peek(IOChannel *ioc, void *buf, size_t len, Error **errp);
bool io_channel_shutdown(IOChannel *ioc, IOShutdown how, Error **errp);
bool io_channel_close(IOChannel *ioc, Error **errp);
/*
 * Size of the kernel's send queue: large for throughput (precopy), small so that an urgent
 * page does not wait behind background ones (postcopy).  Best effort; no effect on channels
 * without one.
 */
void io_channel_set_send_buffer(IOChannel *ioc, size_t bytes);
void io_channel_set_recv_buffer(IOChannel *ioc, size_t bytes);
/* Seekable channels only (klass->seekable); -1 / false with errp set otherwise. */
int64_t io_channel_seek(IOChannel *ioc, int64_t offset, int whence, Error **errp);
ssize_t io_channel_pread(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp);
ssize_t io_channel_pwrite(IOChannel *ioc, const void *buf, size_t len, uint64_t offset,
                          Error **errp);
/* All bytes or failure.  Any number of threads at once. */
bool io_channel_pread_all(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp);
bool io_channel_pwrite_all(IOChannel *ioc, const void *buf, size_t len, uint64_t offset,
                           Error **errp);
/*
 * Wait until a read would not block (true) or until timeout_ms (-1: no limit) is over
 * (false).  Channels without a descriptor are always ready.
 */
bool io_channel_wait_readable(IOChannel *ioc, int timeout_ms);
/* What can be done without blocking; bits. */
typedef enum IOReady {
    IO_READY_READ = 1,  /* something came, or the direction has ended or was shut down */
    IO_READY_WRITE = 2, /* there is room for something, or writing fails at once */
    IO_READY_OTHER = 4, /* the other descriptor can be read */
} IOReady;
/*
 * Wait until one of `want` (IO_READY_READ, IO_READY_WRITE) holds, or until other_fd (-1: none)
 * can be read, at most timeout_ms (-1: no limit).  Returns those that hold, 0: none does.
 * Any thread; the caller keeps other threads from reading or writing meanwhile.
 */
unsigned io_channel_poll(IOChannel *ioc, unsigned want, int other_fd, int timeout_ms);

/* Bytes that were read and written so far.  Any thread. */
uint64_t io_channel_moved(const IOChannel *ioc);
/* Bytes that were written and that the peer's host (pipe, unix socket: the peer) has not taken. */
uint64_t io_channel_unsent(const IOChannel *ioc);
/* Is it a socket, or a layer over one? */
bool io_channel_is_socket(const IOChannel *ioc);
/* Constructors; fds pass to the channel. */
IOChannel *io_channel_socket_new(int fd);
/* Pipe, socket or file by descriptor: a socket becomes a socket channel. */
IOChannel *io_channel_fd_new(int fd, Error **errp);
IOChannel *io_channel_file_new(const char *path, int flags, int mode, Error **errp);
IOChannel *io_channel_file_new_fd(int fd);
/*
 * argv is NULL-terminated; flags O_RDONLY (its stdout), O_WRONLY (its stdin) or O_RDWR.
 * close() gives the child a minute to end by itself (none after a shutdown), then ends it.
 */
IOChannel *io_channel_command_new(const char *const argv[], int flags, Error **errp);
/* Memory: reads data[0..len) (copied), then what was written to it. */
IOChannel *io_channel_buffer_new(const void *data, size_t len);
/* Bytes written and not yet read; valid until the next IO. */
const void *io_channel_buffer_data(IOChannel *ioc, size_t *ret_len);

/* Socket addresses as in QMP SocketAddress. */
typedef enum SocketType { SOCKET_INET, SOCKET_UNIX, SOCKET_VSOCK, SOCKET_FD } SocketType;
typedef struct SocketAddr {
    SocketType type;
    char *host, *port;              /* inet; vsock: cid and port */
    uint16_t to;                    /* inet: last port to try when listening, 0: only `port` */
    bool ipv4, ipv6, has_ipv4, has_ipv6, keep_alive;
    char *path;                     /* unix */
    bool abstract, tight;
    char *fd;                       /* SOCKET_FD: number or name given with getfd */
} SocketAddr;
void socket_addr_free(SocketAddr *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SocketAddr, socket_addr_free)
SocketAddr *socket_addr_copy(const SocketAddr *a);
/* "tcp:H:P[,to=N,ipv4=on]", "unix:PATH", "vsock:CID:PORT", "fd:N" */
SocketAddr *socket_addr_parse(const char *str, Error **errp);
char *socket_addr_to_str(const SocketAddr *a);
/* Blocking connect / bind+listen; returns a descriptor (close-on-exec) or -1. */
int socket_connect(const SocketAddr *a, Error **errp);
/* As socket_connect(), but fails when cancel_fd (an eventfd, -1: none) becomes readable. */
int socket_connect_cancellable(const SocketAddr *a, int cancel_fd, Error **errp);
int socket_listen(const SocketAddr *a, int backlog, Error **errp);
SocketAddr *socket_local_addr(int fd, Error **errp); /* what a listener was bound to */
int socket_accept(int listen_fd, Error **errp);      /* close-on-exec, TCP_NODELAY */

#endif
