#include "cliplens/cli/command_line.h"

#include <algorithm>
#include <csignal>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "cliplens/base/error.h"
#include "cliplens/base/memory_reserve.h"
#include "cliplens/base/version.h"
#include "cliplens/cli/verb.h"

namespace cliplens::cli {
namespace {

int Fail(const ErrorCodeInfo& info, std::string_view message) {
  PrintProblem(fmt::format("{}: {}", info.name, message));
  return info.exit_status;
}

// What --help and --version print.
int Tell(const CLI::App& app, const CLI::Success& what) {
  std::ostringstream text;
  const int status = app.exit(what, text, text);
  Write(text.str());
  return status;
}

// The stack of every thread is as large as that of the first. It is not asked for memory but taken,
// and the process ends where it has an end.
void CheckStack() {
  constexpr rlim_t kLeast = rlim_t{1} << 20;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < kLeast) {
    throw Error(ErrorCode::kExhausted,
                "the stack is limited to {} KB, at least {} are wanted; raise the limit "
                "(ulimit -s)",
                limit.rlim_cur >> 10, kLeast >> 10);
  }
}

// "cliplens neurons words": the program, the verb that was called, and the verb under that.
std::string CalledVerb(const CLI::App& app) {
  std::string called = "cliplens";
  for (const CLI::App* verb = &app; !verb->get_subcommands().empty();) {
    verb = verb->get_subcommands().front();
    called += " " + verb->get_name();
  }
  return called;
}

bool HasVerb(const CLI::App& app, const std::string& name) {
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  return std::ranges::any_of(verbs, [&](const CLI::App* v) { return v->get_name() == name; });
}

constexpr char kDescription[] =
    "cliplens explains what CLIP sees: it writes image embeddings as exact sums of "
    "contributions\nof layers and attention heads, and names the heads in "
    "words.";

void AddVerbs(CLI::App& app, Common& common) {
  app.set_version_flag("--version", std::string("cliplens ") + kVersion);
  app.require_subcommand(1);
  app.footer(
      "A model is a directory, a checkpoint file (with --arch), the name of a shipped model, or\n"
      "hf:ORG/NAME or ARCH/TAG for one that 'cliplens pull' fetches; pictures are a file,\na "
      "folder "
      "or WebDataset .tar shards. cliplens VERB --help has an example of "
      "each verb.\nExit status: 0 done, 2 invalid argument, 3 not found, 4 corrupt data, 5 "
      "precondition,\n6 exhausted, 7 unsupported, 70 internal.");
  AddDemo(app, common);
  AddPull(app, common);
  AddInfo(app, common);
  AddTokenize(app, common);
  AddPreprocess(app, common);
  AddEdit(app, common);
  AddEmbed(app, common);
  AddClassify(app, common);
  AddCompare(app, common);
  AddDecompose(app, common);
  AddMerge(app, common);
  AddSegment(app, common);
  AddServe(app, common);
  AddSpan(app, common);
  AddDescribe(app, common);
  AddWeights(app, common);
  AddAblate(app, common);
  AddReconstruct(app, common);
  AddLabel(app, common);
  AddEvaluate(app, common);
  AddSearch(app, common);
  AddMatch(app, common);
  AddNeurons(app, common);
  AddHeatmap(app, common);
  AddExplain(app, common);
  AddReport(app, common);
  AddExport(app, common);
  AddVerify(app, common);
}

// What a program checks and sets once, before it opens files.
void PrepareProcess() {
  OpenStandardStreams();
  // A reader that goes away is an error of the write, not the end of the process: files that are
  // half written are removed before it ends.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow any more
  CheckStack();
  KeepMemoryReserve();
}

}  // namespace

CLI::App& CommandLine::app() { return *app_; }

CommandLine::CommandLine() : app_(std::make_unique<CLI::App>(kDescription, "cliplens")) {
  AddVerbs(*app_, common_);
}

CommandLine::~CommandLine() = default;

int CommandLine::Run(std::span<const std::string> arguments) {
  if (!arguments.empty() && !arguments.front().starts_with('-') &&
      !HasVerb(*app_, arguments.front())) {
    throw Error(ErrorCode::kInvalidArgument, "there is no verb '{}'; see: cliplens --help",
                arguments.front());
  }
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& e) {
    return Tell(*app_, e);
  } catch (const CLI::ParseError& e) {
    throw Error(ErrorCode::kInvalidArgument, "{}; see: {} --help", e.what(), CalledVerb(*app_));
  }
  return common_.exit_status;
}

int Main(std::span<const std::string> arguments) {
  try {
    PrepareProcess();
  } catch (const std::exception& e) {
    const Error error = ErrorFrom(e);
    return Fail(InfoOf(error.code()), error.what());
  }
  CommandLine line;
  try {
    return line.Run(arguments);
  } catch (const ReaderGone&) {
    return EndForReader(line.exit_status());
  } catch (const std::exception& e) {
    const Error error = ErrorFrom(e);
    return Fail(InfoOf(error.code()), error.what());
  }
}

}  // namespace cliplens::cli
