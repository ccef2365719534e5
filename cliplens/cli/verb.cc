#include "cliplens/cli/verb.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/code_points.h"
#include "cliplens/io/file.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/table.h"

namespace cliplens::cli {
namespace fs = std::filesystem;

CLI::App* AddVerb(CLI::App& app, Common& common, const std::string& name,
                  const std::string& description, const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->add_flag("--json", common.json, "Write the result to standard output as JSON");
  verb->add_option("--threads", common.threads, "Threads to use (0: all cores)")
      ->check(CLI::Range(0, 4096));
  verb->add_flag("--quiet", common.quiet, "No progress bar");
  verb->footer("Example:\n  " + example);
  return verb;
}

void RefuseEmptyOutputs(const CLI::App& verb) {
  for (const char* name : {"--out", "--csv", "--npy", "--npz", "--svg", "--png", "--maps"}) {
    const CLI::Option* option = verb.get_option_no_throw(name);
    if (option != nullptr && option->count() > 0 && option->as<std::string>().empty()) {
      throw Error(ErrorCode::kInvalidArgument, "{}: no file is named", name);
    }
  }
}

namespace {

// Of this thread; empty functions otherwise.
const Streams*& InUse() {
  static const Streams own;
  thread_local const Streams* in_use = &own;
  return in_use;
}

// What cannot be said on standard error changes nothing of what was done, so nothing comes of it.
void Say(const std::string& text) {
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
  (void)std::fflush(stderr);
}

// Columns of the terminal on standard error.
Index TerminalWidth() {
  constexpr Index kUsual = 80;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

// "decompose ███░░░ 12/60  3/s" in fewer columns than the terminal has: the bar gives way first. A
// line that fills the last column makes some terminals begin another.
std::string ProgressLine(const std::string& what, Index done, Index total, double rate) {
  const Index columns = TerminalWidth() - 1;
  const std::string count = fmt::format(" {}/{}", done, total);
  const std::string speed = fmt::format("  {:.0f}/s", rate);
  const auto used = static_cast<Index>(what.size() + 1 + count.size());
  const Index with_speed = used + static_cast<Index>(speed.size());
  constexpr Index kMostBar = 30;
  constexpr Index kLeastBar = 3;
  const Index bar = std::min(kMostBar, columns - with_speed);
  if (bar < kLeastBar) {
    const std::string line = what + count + (with_speed <= columns ? speed : "");
    return line.substr(0, ToSize(std::max<Index>(columns, 0)));
  }
  const Index filled = total > 0 ? done * bar / total : 0;
  std::string line = what + " ";
  for (Index i = 0; i < bar; ++i) line += i < filled ? "█" : "░";
  return line + count + speed;
}

}  // namespace

StreamsInUse::StreamsInUse(Streams streams)
    : streams_(std::move(streams)), before_(std::exchange(InUse(), &streams_)) {}

StreamsInUse::~StreamsInUse() { InUse() = before_; }

ProgressSink Progress(const Common& common, std::string what) {
  if (InUse()->progress) return InUse()->progress(what);
  if (common.quiet || isatty(STDERR_FILENO) == 0) return {};
  using Clock = std::chrono::steady_clock;
  struct State {
    Clock::time_point start = Clock::now();
    Clock::time_point last;
    Index width = 0;  // of the line that stands there
  };
  auto state = std::make_shared<State>();
  return [what = std::move(what), state](Index done, Index total) {
    const auto now = Clock::now();
    if (done < total && now - state->last < std::chrono::milliseconds(100)) return;
    state->last = now;
    const double seconds = std::chrono::duration<double>(now - state->start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
    const std::string line = ProgressLine(what, done, total, rate);
    const Index width = DisplayWidth(line);
    const std::string blanks(ToSize(std::max<Index>(state->width - width, 0)), ' ');
    state->width = width;
    Say("\r" + line + blanks + (done >= total ? "\n" : ""));
  };
}

Work WorkOf(const Common& common) {
  return {.threads = common.threads,
          .progress = [&common](const char* stage) { return Progress(common, stage); },
          .on_blank = WarnOfBlankLines};
}

void OpenStandardStreams() {
  // The first file that is opened would take the number of a stream that is closed, and be given
  // what is meant for the stream. What stands in cannot be read or written either.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

namespace {

// Lines for standard error that wait for a result.
std::vector<std::string>& Waiting() {
  thread_local std::vector<std::string> lines;
  return lines;
}

void SayWithResult(std::string line) { Waiting().push_back(std::move(line)); }

}  // namespace

void Write(std::string_view text) {
  for (const std::string& line : std::exchange(Waiting(), {})) PrintProblem(line);
  if (InUse()->out) return InUse()->out(text);
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return;
  }
  if (errno == EPIPE) throw ReaderGone();
  throw Error(ErrorCode::kExhausted,
              "standard output cannot be written (closed, or its disk is full)");
}

int EndForReader(int status) {
  if (status != 0) return status;
  std::signal(SIGPIPE, SIG_DFL);
  (void)std::raise(SIGPIPE);
  return status;  // where the signal is blocked
}

// Names of files stand in what is printed, so a terminal is given them escaped.
void Print(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    out += Printable(line, 4 * line.size() + 3);
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  Write(out);
}

void PrintProblem(std::string_view text) {
  constexpr std::size_t kMaxBytes = 8'192;
  if (InUse()->problem) return InUse()->problem(Printable(text, kMaxBytes));
  Say(fmt::format("cliplens: {}\n", Printable(text, kMaxBytes)));
}

// A terminal would obey what stands in names; in JSON \uNNNN is the same character.
void PrintJson(const Json& result) {
  const std::string json = DumpJson(result);
  std::string out;
  for (std::string_view rest = json; !rest.empty();) {
    const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(rest.substr(0, 4)), 1);
    const std::string_view character = rest.substr(0, length);
    const char32_t c = CodePointOf(character);
    if (c < 0x7F || (c >= 0xA0 && !IsHiddenMark(c))) {
      out += character;
    } else if (c <= 0xFFFF) {
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
    } else {
      const auto above = static_cast<std::uint32_t>(c) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10), 0xDC00 + (above & 0x3FF));
    }
    rest.remove_prefix(length);
  }
  Write(out + "\n");
}

void WarnOfLosses(const LeftOut& left_out, Index oriented,
                  const std::vector<SkippedPicture>& skipped,
                  const std::vector<SkippedPicture>& incomplete, Index count) {
  WarnOfOriented(oriented);
  for (std::string& line : LinesOf(left_out)) SayWithResult(std::move(line));
  if (!skipped.empty()) SayWithResult(SkippedText(skipped, count));
  if (!incomplete.empty()) SayWithResult(IncompleteText(incomplete, count));
}

void WarnOfOriented(Index count) {
  if (count > 0) SayWithResult(OrientedText(count));
}

void WarnOfBlankLines(const std::string& file, Index count) {
  std::string line = count == 1 ? fmt::format("{}: 1 blank line was left out", file)
                                : fmt::format("{}: {} blank lines were left out", file, count);
  // A file may be read again, for a second store.
  if (std::ranges::find(Waiting(), line) == Waiting().end()) SayWithResult(std::move(line));
}

}  // namespace cliplens::cli
