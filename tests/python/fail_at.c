// A library for LD_PRELOAD that makes one system call fail, or kills the process in its place.
//   FAIL_CALLS   names of the calls that count, commas between; of files whose names do not begin
//                with FAIL_UNDER (or its descriptors) none counts
//   FAIL_AT      the number of the call that fails, from 1
//   FAIL_HOW     an errno, or "kill"
//   FAIL_LOG     file to which the name of every call that counts is written
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fails(const char* call, const char* path) {
  static int count;
  const char* calls = getenv("FAIL_CALLS");
  const char* under = getenv("FAIL_UNDER");
  const char* at = getenv("FAIL_AT");
  const char* how = getenv("FAIL_HOW");
  if (calls == NULL || under == NULL || strncmp(path, under, strlen(under)) != 0) return 0;
  char wanted[256], name[64];
  snprintf(wanted, sizeof(wanted), ",%s,", calls);
  snprintf(name, sizeof(name), ",%s,", call);
  if (strstr(wanted, name) == NULL) return 0;
  ++count;
  if (getenv("FAIL_LOG") != NULL) {
    FILE* log = fopen(getenv("FAIL_LOG"), "a");
    fprintf(log, "%s %s\n", call, path);
    fclose(log);
  }
  if (at == NULL || count != atoi(at)) return 0;
  if (strcmp(how, "kill") == 0) raise(SIGKILL);
  errno = atoi(how);
  return 1;
}

static const char* absolute(const char* path, char* room) {
  if (path[0] == '/') return path;
  char here[PATH_MAX];
  if (getcwd(here, sizeof(here)) == NULL) return path;
  snprintf(room, 2 * PATH_MAX, "%s/%s", here, path);
  return room;
}

static const char* path_of(int descriptor, char* room) {
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, room, PATH_MAX - 1);
  room[size < 0 ? 0 : size] = 0;
  return room;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int link(const char* from, const char* to) {
  char room[2 * PATH_MAX];
  return fails("link", absolute(to, room)) ? -1 : REAL(link)(from, to);
}
int unlink(const char* path) {
  char room[2 * PATH_MAX];
  return fails("unlink", absolute(path, room)) ? -1 : REAL(unlink)(path);
}
int remove(const char* path) {
  char room[2 * PATH_MAX];
  return fails("remove", absolute(path, room)) ? -1 : REAL(remove)(path);
}
int rename(const char* from, const char* to) {
  char room[2 * PATH_MAX];
  return fails("rename", absolute(to, room)) ? -1 : REAL(rename)(from, to);
}
int fsync(int descriptor) {
  char room[PATH_MAX];
  return fails("fsync", path_of(descriptor, room)) ? -1 : REAL(fsync)(descriptor);
}
ssize_t write(int descriptor, const void* bytes, size_t size) {
  char room[PATH_MAX];
  return fails("write", path_of(descriptor, room)) ? -1 : REAL(write)(descriptor, bytes, size);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  char room[2 * PATH_MAX];
  const char* call = flags & O_DIRECTORY ? "opendir" : flags & O_CREAT ? "create" : "open";
  return fails(call, absolute(path, room)) ? -1 : REAL(open)(path, flags, mode);
}
