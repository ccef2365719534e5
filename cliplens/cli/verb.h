// What every verb of the command line shares.
//
// A verb is one file: a function that adds a subcommand with its options, and a callback that calls
// the library and writes the result. With --json the result, and nothing else, goes to standard
// output as one JSON object (docs/json.md); everything said to people goes to standard error then.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cliplens/app/work.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/io/json.h"

namespace cliplens::cli {

struct Common {
  bool json = false;
  int threads = 0;
  bool quiet = false;
  int exit_status = 0;  // of a verb whose result is bad news, such as the problems of a store
};

// Adds the subcommand with the options that every verb has. `example` ends its --help.
CLI::App* AddVerb(CLI::App& app, Common& common, const std::string& name,
                  const std::string& description, const std::string& example);

// Throws Error(kInvalidArgument) where an option that names a file to write was given and is empty.
void RefuseEmptyOutputs(const CLI::App& verb);

// The same for a verb with options of type `Options`: its callback calls Run(options, common),
// which stands in the namespace of `Options`.
template <typename Options>
std::pair<CLI::App*, std::shared_ptr<Options>> AddVerb(CLI::App& app, Common& common,
                                                       const std::string& name,
                                                       const std::string& description,
                                                       const std::string& example) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, common, name, description, example);
  verb->callback([verb, options, &common] {
    RefuseEmptyOutputs(*verb);
    Run(*options, common);
  });
  return {verb, std::move(options)};
}

// A progress bar on standard error when it is a terminal, else nothing.
ProgressSink Progress(const Common& common, std::string what);

// The threads, a progress bar for each stage, and WarnOfBlankLines.
Work WorkOf(const Common& common);

// Where what verbs say goes, and how far they are. A function that is empty stands for the
// process's own stream, and for a bar on its terminal.
struct Streams {
  std::function<void(std::string_view text)> out = {};      // results
  std::function<void(std::string_view line)> problem = {};  // lines of warning, without their end
  std::function<ProgressSink(const std::string& what)> progress = {};
};
// While it lives, verbs that this thread runs use these.
class StreamsInUse {
 public:
  explicit StreamsInUse(Streams streams);
  ~StreamsInUse();
  StreamsInUse(const StreamsInUse&) = delete;
  StreamsInUse& operator=(const StreamsInUse&) = delete;

 private:
  Streams streams_;
  const Streams* before_;
};

// Called before any file is opened: streams that are closed stay so.
void OpenStandardStreams();

// Prints to standard output, names of files escaped. Throws Error(kExhausted) when it is closed or
// full, ReaderGone when whoever read it has gone (`cliplens ... | head`).
void Print(const std::string& text);
void PrintJson(const Json& result);
void Write(std::string_view text);  // as it is, behind what is to be said with a result
struct ReaderGone {};
// Ends the process as SIGPIPE does, in silence, where all went well; else returns the status.
int EndForReader(int status);
// One line on standard error, if that can be written. It may quote names and contents of files, so
// it is escaped and cut.
void PrintProblem(std::string_view text);

// Lines on standard error, said only when there is a result: where work fails, the error stands
// alone. How many of `count` pictures carry an EXIF orientation that was left alone, what lies
// where a set is and did not go in, how many pictures were skipped, how many lack attributes.
void WarnOfLosses(const LeftOut& left_out, Index oriented,
                  const std::vector<SkippedPicture>& skipped,
                  const std::vector<SkippedPicture>& incomplete, Index count);
void WarnOfOriented(Index count);
// A file of which blank lines were left out, once.
void WarnOfBlankLines(const std::string& file, Index count);

void AddAblate(CLI::App& app, Common& common);
void AddClassify(CLI::App& app, Common& common);
void AddCompare(CLI::App& app, Common& common);
void AddDecompose(CLI::App& app, Common& common);
void AddDemo(CLI::App& app, Common& common);
void AddDescribe(CLI::App& app, Common& common);
void AddEdit(CLI::App& app, Common& common);
void AddEmbed(CLI::App& app, Common& common);
void AddEvaluate(CLI::App& app, Common& common);
void AddEvaluateGroups(CLI::App& app, Common& common);  // under evaluate
void AddEvaluateSegmentation(CLI::App& app, Common& common);
void AddExplain(CLI::App& app, Common& common);
void AddExport(CLI::App& app, Common& common);
void AddHeatmap(CLI::App& app, Common& common);
void AddInfo(CLI::App& app, Common& common);
void AddLabel(CLI::App& app, Common& common);
void AddMerge(CLI::App& app, Common& common);
void AddNeurons(CLI::App& app, Common& common);
void AddPreprocess(CLI::App& app, Common& common);
void AddPull(CLI::App& app, Common& common);
void AddReconstruct(CLI::App& app, Common& common);
void AddReport(CLI::App& app, Common& common);
void AddSearch(CLI::App& app, Common& common);
void AddMatch(CLI::App& app, Common& common);
void AddSegment(CLI::App& app, Common& common);
void AddServe(CLI::App& app, Common& common);
void AddSpan(CLI::App& app, Common& common);
void AddTokenize(CLI::App& app, Common& common);
void AddVerify(CLI::App& app, Common& common);
void AddWeights(CLI::App& app, Common& common);

}  // namespace cliplens::cli
