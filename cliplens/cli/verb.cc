#include "cliplens/cli/verb.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"

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

ProgressSink Progress(const Common& common, std::string what) {
  if (common.quiet || isatty(STDERR_FILENO) == 0) return {};
  using Clock = std::chrono::steady_clock;
  struct State {
    Clock::time_point start = Clock::now();
    Clock::time_point last;
  };
  auto state = std::make_shared<State>();
  return [what = std::move(what), state](Index done, Index total) {
    const auto now = Clock::now();
    if (done < total && now - state->last < std::chrono::milliseconds(100)) return;
    state->last = now;
    const double seconds = std::chrono::duration<double>(now - state->start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
    constexpr Index kWidth = 30;
    const Index filled = total > 0 ? done * kWidth / total : 0;
    std::string bar;
    for (Index i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stderr, "\r{} {} {}/{}  {:.0f}/s ", what, bar, done, total, rate);
    if (done >= total) fmt::print(stderr, "\n");
    std::fflush(stderr);
  };
}

Work WorkOf(const Common& common) {
  return {.threads = common.threads,
          .progress = [&common](const char* stage) { return Progress(common, stage); }};
}

namespace {

void Write(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kExhausted,
                "standard output cannot be written (closed, or its disk is full)");
  }
}

}  // namespace

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
  fmt::print(stderr, "cliplens: {}\n", Printable(text, kMaxBytes));
}

void PrintJson(const Json& result) { Write(DumpJson(result) + "\n"); }

void WarnOfLosses(const LeftOut& left_out, const std::vector<SkippedPicture>& skipped,
                  const std::vector<SkippedPicture>& incomplete, Index count) {
  for (const std::string& line : LinesOf(left_out)) PrintProblem(line);
  if (!skipped.empty()) PrintProblem(SkippedText(skipped, count));
  if (!incomplete.empty()) PrintProblem(IncompleteText(incomplete, count));
}

void WarnOfBlankLines(const std::string& path, Index blank) {
  if (blank == 0) return;
  PrintProblem(blank == 1 ? fmt::format("{}: 1 blank line was left out", path)
                          : fmt::format("{}: {} blank lines were left out", path, blank));
}

void WarnOfOriented(Index count) {
  if (count > 0) PrintProblem(OrientedText(count));
}

void RefuseExisting(const fs::path& path) {
  if (IsTaken(path)) {
    throw Error(ErrorCode::kPrecondition, "{}: exists already; name a new file or remove this one",
                path.string());
  }
}

}  // namespace cliplens::cli
