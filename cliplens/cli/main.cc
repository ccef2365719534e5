// The command line: `cliplens VERB ...`.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "cliplens/base/error.h"
#include "cliplens/base/memory_reserve.h"
#include "cliplens/base/version.h"
#include "cliplens/cli/verb.h"

namespace {

int Fail(const cliplens::ErrorCodeInfo& info, std::string_view message) {
  cliplens::cli::PrintProblem(fmt::format("{}: {}", info.name, message));
  return info.exit_status;
}

// What --help and --version print.
int Tell(const CLI::App& app, const CLI::Success& what) {
  std::ostringstream text;
  const int status = app.exit(what, text, text);
  cliplens::cli::Write(text.str());
  return status;
}

// The stack of every thread is as large as that of the first. It is not asked for memory but taken,
// and the process ends where it has an end.
void CheckStack() {
  constexpr rlim_t kLeast = rlim_t{1} << 20;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < kLeast) {
    throw cliplens::Error(cliplens::ErrorCode::kExhausted,
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

}  // namespace

int main(int argc, char** argv) {
  using namespace cliplens;
  using namespace cliplens::cli;
  OpenStandardStreams();
  // A reader that goes away is an error of the write, not the end of the process: files that are
  // half written are removed before it ends.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow any more
  try {
    CheckStack();
    KeepMemoryReserve();
  } catch (const std::exception& e) {
    const Error error = ErrorFrom(e);
    return Fail(InfoOf(error.code()), error.what());
  }

  CLI::App app{
      "cliplens explains what CLIP sees: it writes image embeddings as exact sums of "
      "contributions\nof layers and attention heads, and names the heads in "
      "words.",
      "cliplens"};
  app.set_version_flag("--version", std::string("cliplens ") + kVersion);
  app.require_subcommand(1);
  app.footer(
      "A model is a directory, a checkpoint file (with --arch), the name of a shipped model, or\n"
      "hf:ORG/NAME or ARCH/TAG for one that 'cliplens pull' fetches; pictures are a file,\na "
      "folder "
      "or WebDataset .tar shards. cliplens VERB --help has an example of "
      "each verb.\nExit status: 0 done, 2 invalid argument, 3 not found, 4 corrupt data, 5 "
      "precondition,\n6 exhausted, 7 unsupported, 70 internal.");
  Common common;
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

  if (argc > 1 && argv[1][0] != '-' && !HasVerb(app, argv[1])) {
    return Fail(InfoOf(ErrorCode::kInvalidArgument),
                fmt::format("there is no verb '{}'; see: cliplens --help", argv[1]));
  }
  try {
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success& e) {
      return Tell(app, e);
    }
  } catch (const ReaderGone&) {
    return EndForReader(common.exit_status);
  } catch (const CLI::ParseError& e) {
    return Fail(InfoOf(ErrorCode::kInvalidArgument),
                fmt::format("{}; see: {} --help", e.what(), CalledVerb(app)));
  } catch (const std::exception& e) {
    const Error error = ErrorFrom(e);
    return Fail(InfoOf(error.code()), error.what());
  }
  return common.exit_status;
}
