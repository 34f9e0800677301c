/* Stands between a process and its disk: counts the calls that go to one folder, and at a chosen
 * one ends the process as `kill -9` does, or lets the call fail.
 *
 * Preloaded in front of the C library, so Python's calls and SQLite's come by here alike. It obeys
 * a small file that `tests.crash.shim` writes and everybody maps: see `struct control` there, too.
 * Whatever it does itself are system calls, which do not come by here again.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096

enum kind {
    CREATE = 1 << 0,    /* open what is not there yet */
    OPEN_WRITE = 1 << 1,
    OPEN_READ = 1 << 2,
    WRITE = 1 << 3,
    SYNC = 1 << 4,
    NAME = 1 << 5,      /* mkdir, link, rename */
    REMOVE = 1 << 6,    /* unlink, rmdir */
    SIZE = 1 << 7,      /* truncate, allocate, open with O_TRUNC */
    READ = 1 << 8,
    LOCK = 1 << 9,
    MAP = 1 << 10,
    MARK = 1 << 11,     /* modes and times */
    SEND = 1 << 12,     /* to a socket, wherever that leads */
    LOOK = 1 << 13,     /* stat, access, list a folder */
};

enum action { COUNT = 0, KILL = 1, FAIL = 2 };

struct control {
    _Atomic int64_t armed;
    int64_t kinds;      /* which calls are points */
    int64_t action;
    int64_t first;      /* the points that are hit: from this one */
    int64_t last;       /* ... to this one */
    int64_t error;      /* how they fail */
    _Atomic int64_t passed;
    _Atomic int64_t hit;
    _Atomic int64_t room; /* calls that do not fail although they should: for some there is room */
};

#define BALLAST_CALLS 64

static struct control *control;
static const char *root;
static size_t root_bytes;
static int log_handle = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("CRASH_CONTROL"), *log = getenv("CRASH_LOG");
    root = getenv("CRASH_ROOT");
    if (!file || !log || !root)
        return;
    root_bytes = strlen(root);
    int handle = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    log_handle = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (handle < 0 || log_handle < 0)
        abort();
    void *mapped = (void *)syscall(SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE,
                                   MAP_SHARED, handle, 0);
    if (mapped == MAP_FAILED)
        abort();
    syscall(SYS_close, handle);
    control = mapped;
}

static int is_on(void)
{
    return control && atomic_load(&control->armed);
}

/* Below the folder, as what follows its name; NULL for all else. */
static const char *below(const char *path)
{
    if (strncmp(path, root, root_bytes) != 0)
        return NULL;
    if (path[root_bytes] == '\0')
        return ".";
    if (path[root_bytes] != '/')
        return NULL;
    path += root_bytes + 1;
    /* What was counted is written by a thread of its own whenever it likes, and may fail. */
    return strncmp(path, "counters/", strlen("counters/")) == 0 ? NULL : path;
}

static const char *path_of(int handle, char *buffer)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_BYTES - 1);
    buffer[size < 0 ? 0 : size] = '\0';
    return buffer;
}

static const char *path_at(int folder, const char *path, char *buffer)
{
    if (path[0] == '/')
        return path;
    if (folder == AT_FDCWD) {
        if (!getcwd(buffer, PATH_BYTES))
            buffer[0] = '\0';
    } else {
        path_of(folder, buffer);
    }
    size_t size = strlen(buffer);
    snprintf(buffer + size, PATH_BYTES - size, "/%s", path);
    return buffer;
}

/* Whether the call is to fail instead of being made; `errno` says how. */
static int reach(enum kind kind, const char *call, const char *path, const char *target)
{
    if (!(control->kinds & kind))
        return 0;
    const char *at = below(path), *to = target ? below(target) : NULL;
    if (!at && !to && kind != SEND)
        return 0;
    const char *at_or_path = at ? at : path;
    int64_t number = atomic_fetch_add(&control->passed, 1);
    char line[2 * PATH_BYTES];
    int size = snprintf(line, sizeof line, "%s%s%s%s%s\n", call, *at_or_path ? " " : "", at_or_path,
                        to ? " " : "", to ? to : "");
    syscall(SYS_write, log_handle, line, (size_t)size);
    if (number < control->first || number > control->last)
        return 0;
    if (control->error == ENOSPC && atomic_fetch_sub(&control->room, 1) > 0)
        return 0;
    atomic_fetch_add(&control->hit, 1);
    if (control->action == KILL) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        for (;;)
            syscall(SYS_pause); /* no other thread may get past this point before it arrives */
    }
    if (control->action == FAIL) {
        errno = (int)control->error;
        return 1;
    }
    return 0;
}

static int reach_path(enum kind kind, const char *call, int folder, const char *path)
{
    char buffer[PATH_BYTES];
    return is_on() && path && reach(kind, call, path_at(folder, path, buffer), NULL);
}

static int reach_both(enum kind kind, const char *call, int one, const char *path, int other,
                      const char *target)
{
    char buffer[PATH_BYTES], second[PATH_BYTES];
    return is_on() &&
           reach(kind, call, path_at(one, path, buffer), path_at(other, target, second));
}

static int reach_handle(enum kind kind, const char *call, int handle)
{
    char buffer[PATH_BYTES];
    return is_on() && reach(kind, call, path_of(handle, buffer), NULL);
}

#define REAL(name)                                     \
    static __typeof__(&name) real;                     \
    if (!real)                                         \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Opening */

static int reach_open(int folder, const char *path, int flags)
{
    if (!is_on())
        return 0;
    enum kind kind = OPEN_READ;
    if (flags & O_CREAT && syscall(SYS_faccessat, folder, path, F_OK) != 0)
        kind = CREATE;
    else if (flags & O_TRUNC)
        kind = SIZE;
    else if ((flags & O_ACCMODE) != O_RDONLY)
        kind = OPEN_WRITE;
    return reach_path(kind, kind == CREATE ? "create" : "open", folder, path);
}

#define MODE_OF(flags, last)                              \
    mode_t mode = 0;                                      \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {              \
        va_list more;                                     \
        va_start(more, last);                             \
        mode = va_arg(more, mode_t);                      \
        va_end(more);                                     \
    }

int open(const char *path, int flags, ...)
{
    REAL(open);
    MODE_OF(flags, flags)
    return reach_open(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    MODE_OF(flags, flags)
    return reach_open(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(openat);
    MODE_OF(flags, flags)
    return reach_open(folder, path, flags) ? -1 : real(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    REAL(openat64);
    MODE_OF(flags, flags)
    return reach_open(folder, path, flags) ? -1 : real(folder, path, flags, mode);
}

/* The bytes of files, and answers */

/* Whether something goes wrong in front of bytes for somebody else; if so, errno is set. */
static int reach_client(int handle)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    /* Threads of one process wake each other through sockets that have no address. */
    return is_on() && syscall(SYS_getsockname, handle, &own, &size) == 0 &&
           own.ss_family != AF_UNIX && reach(SEND, "send", "", NULL);
}

/* uvloop writes its answers like bytes of files. */
ssize_t write(int handle, const void *bytes, size_t count)
{
    REAL(write);
    if (reach_client(handle) || reach_handle(WRITE, "write", handle))
        return -1;
    return real(handle, bytes, count);
}

ssize_t writev(int handle, const struct iovec *parts, int count)
{
    REAL(writev);
    if (reach_client(handle) || reach_handle(WRITE, "write", handle))
        return -1;
    return real(handle, parts, count);
}

ssize_t pwrite(int handle, const void *bytes, size_t count, off_t at)
{
    REAL(pwrite);
    return reach_handle(WRITE, "write", handle) ? -1 : real(handle, bytes, count, at);
}

ssize_t pwrite64(int handle, const void *bytes, size_t count, off64_t at)
{
    REAL(pwrite64);
    return reach_handle(WRITE, "write", handle) ? -1 : real(handle, bytes, count, at);
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *at, size_t count,
                        unsigned flags)
{
    REAL(copy_file_range);
    return reach_handle(WRITE, "copy", to) ? -1 : real(from, start, to, at, count, flags);
}

ssize_t read(int handle, void *bytes, size_t count)
{
    REAL(read);
    return reach_handle(READ, "read", handle) ? -1 : real(handle, bytes, count);
}

ssize_t pread(int handle, void *bytes, size_t count, off_t at)
{
    REAL(pread);
    return reach_handle(READ, "read", handle) ? -1 : real(handle, bytes, count, at);
}

ssize_t pread64(int handle, void *bytes, size_t count, off64_t at)
{
    REAL(pread64);
    return reach_handle(READ, "read", handle) ? -1 : real(handle, bytes, count, at);
}

ssize_t sendfile64(int to, int from, off64_t *start, size_t count)
{
    REAL(sendfile64);
    if (reach_handle(READ, "read", from) || reach_handle(WRITE, "copy", to))
        return -1;
    return real(to, from, start, count);
}

int fsync(int handle)
{
    REAL(fsync);
    return reach_handle(SYNC, "sync", handle) ? -1 : real(handle);
}

int fdatasync(int handle)
{
    REAL(fdatasync);
    return reach_handle(SYNC, "sync", handle) ? -1 : real(handle);
}

int ftruncate(int handle, off_t size)
{
    REAL(ftruncate);
    return reach_handle(SIZE, "truncate", handle) ? -1 : real(handle, size);
}

int ftruncate64(int handle, off64_t size)
{
    REAL(ftruncate64);
    return reach_handle(SIZE, "truncate", handle) ? -1 : real(handle, size);
}

int posix_fallocate64(int handle, off64_t start, off64_t size)
{
    REAL(posix_fallocate64);
    return reach_handle(SIZE, "allocate", handle) ? errno : real(handle, start, size);
}

static int is_of_a_file(int handle, int flags)
{
    return handle >= 0 && flags & MAP_SHARED;
}

void *mmap(void *address, size_t size, int how, int flags, int handle, off_t start)
{
    REAL(mmap);
    if (is_of_a_file(handle, flags) && reach_handle(MAP, "map", handle))
        return MAP_FAILED;
    return real(address, size, how, flags, handle, start);
}

void *mmap64(void *address, size_t size, int how, int flags, int handle, off64_t start)
{
    REAL(mmap64);
    if (is_of_a_file(handle, flags) && reach_handle(MAP, "map", handle))
        return MAP_FAILED;
    return real(address, size, how, flags, handle, start);
}

/* Names */

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return reach_path(NAME, "mkdir", AT_FDCWD, path) ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat);
    return reach_path(NAME, "mkdir", folder, path) ? -1 : real(folder, path, mode);
}

int link(const char *path, const char *target)
{
    REAL(link);
    return reach_both(NAME, "link", AT_FDCWD, path, AT_FDCWD, target) ? -1 : real(path, target);
}

int linkat(int one, const char *path, int other, const char *target, int flags)
{
    REAL(linkat);
    if (reach_both(NAME, "link", one, path, other, target))
        return -1;
    return real(one, path, other, target, flags);
}

int rename(const char *path, const char *target)
{
    REAL(rename);
    return reach_both(NAME, "rename", AT_FDCWD, path, AT_FDCWD, target) ? -1 : real(path, target);
}

int renameat(int one, const char *path, int other, const char *target)
{
    REAL(renameat);
    if (reach_both(NAME, "rename", one, path, other, target))
        return -1;
    return real(one, path, other, target);
}

int unlink(const char *path)
{
    REAL(unlink);
    if (reach_path(REMOVE, "unlink", AT_FDCWD, path))
        return -1;
    int result = real(path);
    const char *name = strrchr(path, '/');
    if (result == 0 && is_on() && name && strcmp(name, "/ballast") == 0)
        atomic_store(&control->room, BALLAST_CALLS);
    return result;
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    const char *call = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    return reach_path(REMOVE, call, folder, path) ? -1 : real(folder, path, flags);
}

int rmdir(const char *path)
{
    REAL(rmdir);
    return reach_path(REMOVE, "rmdir", AT_FDCWD, path) ? -1 : real(path);
}

/* Looking, and small marks */

int stat(const char *restrict path, struct stat *restrict found)
{
    REAL(stat);
    return reach_path(LOOK, "stat", AT_FDCWD, path) ? -1 : real(path, found);
}

int stat64(const char *restrict path, struct stat64 *restrict found)
{
    REAL(stat64);
    return reach_path(LOOK, "stat", AT_FDCWD, path) ? -1 : real(path, found);
}

int lstat(const char *restrict path, struct stat *restrict found)
{
    REAL(lstat);
    return reach_path(LOOK, "lstat", AT_FDCWD, path) ? -1 : real(path, found);
}

int lstat64(const char *restrict path, struct stat64 *restrict found)
{
    REAL(lstat64);
    return reach_path(LOOK, "lstat", AT_FDCWD, path) ? -1 : real(path, found);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    return reach_path(LOOK, "list", AT_FDCWD, path) ? NULL : real(path);
}

int chmod(const char *path, mode_t mode)
{
    REAL(chmod);
    return reach_path(MARK, "chmod", AT_FDCWD, path) ? -1 : real(path, mode);
}

int fchmod(int handle, mode_t mode)
{
    REAL(fchmod);
    return reach_handle(MARK, "chmod", handle) ? -1 : real(handle, mode);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    REAL(utimensat);
    return reach_path(MARK, "utime", folder, path) ? -1 : real(folder, path, times, flags);
}

/* Locks, of SQLite and of our own */

static int reach_lock(int handle, int command, const void *argument)
{
    if (command != F_SETLK && command != F_SETLKW && command != F_OFD_SETLK)
        return 0;
    /* To let go of a lock never fails. */
    return ((const struct flock *)argument)->l_type != F_UNLCK &&
           reach_handle(LOCK, "lock", handle);
}

#define ARGUMENT_OF(command)               \
    va_list more;                          \
    va_start(more, command);               \
    void *argument = va_arg(more, void *); \
    va_end(more)

int fcntl(int handle, int command, ...)
{
    REAL(fcntl);
    ARGUMENT_OF(command);
    return reach_lock(handle, command, argument) ? -1 : real(handle, command, argument);
}

int fcntl64(int handle, int command, ...)
{
    REAL(fcntl64);
    ARGUMENT_OF(command);
    return reach_lock(handle, command, argument) ? -1 : real(handle, command, argument);
}

/* Answers, and questions to others */

ssize_t send(int handle, const void *bytes, size_t count, int flags)
{
    REAL(send);
    return reach_client(handle) ? -1 : real(handle, bytes, count, flags);
}

ssize_t sendmsg(int handle, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    return reach_client(handle) ? -1 : real(handle, message, flags);
}
