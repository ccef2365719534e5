#include "cliplens/io/rehearsal.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

[[noreturn]] void BeTheChild(const std::function<void()>& work, int seconds) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) {
    std::signal(signal, SIG_DFL);
  }
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) {
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
  }
  ::alarm(static_cast<unsigned>(seconds));
  try {
    work();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the caller meets it
  }
  ::_exit(0);
}

}  // namespace

void Rehearse(const std::string& name, const std::function<void()>& work, int seconds) {
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error(ErrorCode::kExhausted, "{}: no process to try it in: {}", name,
                std::strerror(errno));
  }
  if (child == 0) BeTheChild(work, seconds);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      throw Error(ErrorCode::kInternal, "{}: its trial was lost: {}", name, std::strerror(errno));
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const bool slow = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
  throw Error(ErrorCode::kCorruptData,
              "{}: the library that reads it {}; the file is broken, fetch it again", name,
              slow ? "comes to no end" : "crashes on it");
}

}  // namespace cliplens
