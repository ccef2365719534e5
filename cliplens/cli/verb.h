// What every verb of the command line shares.
//
// A verb is one file: a function that adds a subcommand with its options, and a callback that calls
// the library and writes the result. With --json the result, and nothing else, goes to standard
// output as one JSON object (docs/json.md); everything said to people goes to standard error then.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"
#include "cliplens/model/clip.h"

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

// A progress bar on standard error when it is a terminal, else nothing.
ProgressSink Progress(const Common& common, std::string what);

// Prints to standard output. Throws Error(kExhausted) when that is closed or full.
void Print(const std::string& text);
void PrintJson(const Json& result);
// One line on standard error. Names of files and what files hold stand in it, so it is escaped and
// cut.
void PrintProblem(std::string_view text);

// MODEL, --arch and --precision as given. An architecture's JSON file is one path, a name is none.
struct ModelChoice {
  std::string model;
  std::string architecture = {};
  std::string precision = "fp32";
};
// Adds the argument MODEL, or the option --model of verbs on a store, each with --arch.
void AddModelArgument(CLI::App* verb, ModelChoice& choice);
void AddModelOption(CLI::App* verb, ModelChoice& choice);
// Adds --precision fp32|bf16|auto.
void AddPrecisionOption(CLI::App* verb, ModelChoice& choice);

// The path that MODEL names: itself, that of a shipped model, or a snapshot in the Hugging Face
// cache.
std::filesystem::path ModelPath(const std::string& model);
ClipModel LoadModel(const ModelChoice& choice);
// The model that made a store: the one chosen, else what the manifest names. Throws
// Error(kInvalidArgument) when its fingerprint is another.
ClipModel LoadModelOf(const Store& store, const ModelChoice& choice);

// Unit rows [M, E] of a pool, and the classifier of classes, from the cache where they are in it.
Array<float, 2> RowsOf(const ClipModel& model, const TextPool& pool, bool truncate,
                       const Common& common);
Classifier ClassifierOf(const ClipModel& model, const ClassFile& classes,
                        const std::vector<std::string>& templates, bool truncate,
                        const Common& common);

// The directory of shipped files (models/, texts/, world/): $CLIPLENS_SHARE, else beside the
// program, else the source tree that the program was built in. Empty where `relative` is in none.
std::filesystem::path SharePath(const std::string& relative);
// As SharePath; throws Error(kNotFound) where it is in none.
std::filesystem::path ShippedPath(const std::string& relative);

// The file of a text pool: the path itself where something is there, else the shipped
// texts/NAME.txt for a bare name such as general, else the path as given.
std::filesystem::path TextsPath(const std::string& texts);
// The same for an option with a default; `shipped` is that, a name such as general.
std::filesystem::path TextsPath(const std::string& texts, const std::string& shipped);

// --images and --split as given.
struct ImagesChoice {
  std::string images;
  std::string split;
};
// Adds both options; --images is required unless it is one of a group's.
void AddImagesOption(CLI::App* verb, ImagesChoice& choice, CLI::App* group = nullptr);
std::unique_ptr<ImageSet> OpenImages(const ImagesChoice& choice);

// The pictures that a store was made of, or null where they are gone; `images` overrides the place
// that the manifest names.
std::unique_ptr<ImageSet> OpenImagesOf(const Store& store, const std::string& images);

// --on-error stop|skip.
void AddOnError(CLI::App* verb, OnError& on_error);
// The list of skipped pictures for JSON: [{"path", "message"}].
Json SkippedListJson(const std::vector<SkippedPicture>& skipped);
// One line on standard error that says how many of `count` pictures were skipped, if any were.
void WarnOfSkipped(const std::vector<SkippedPicture>& skipped, Index count);

// Throws Error(kPrecondition) if `path` exists.
void RefuseExisting(const std::filesystem::path& path);
// Files that options name, where they name one: none may exist; then each is written.
void RefuseExistingIfNamed(std::initializer_list<std::string> paths);
void WriteIfNamed(const std::string& path, const std::string& text);

void AddAblate(CLI::App& app, Common& common);
void AddClassify(CLI::App& app, Common& common);
void AddDecompose(CLI::App& app, Common& common);
void AddDemo(CLI::App& app, Common& common);
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
void AddPreprocess(CLI::App& app, Common& common);
void AddReconstruct(CLI::App& app, Common& common);
void AddReport(CLI::App& app, Common& common);
void AddSearch(CLI::App& app, Common& common);
void AddMatch(CLI::App& app, Common& common);
void AddSegment(CLI::App& app, Common& common);
void AddServe(CLI::App& app, Common& common);
void AddSpan(CLI::App& app, Common& common);
void AddTokenize(CLI::App& app, Common& common);
void AddVerify(CLI::App& app, Common& common);

}  // namespace cliplens::cli
