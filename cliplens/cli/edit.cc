// cliplens edit suggest|make|show
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/cue.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/accuracy.h"
#include "cliplens/cli/edit_choice.h"
#include "cliplens/cli/head_choice.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/report/edit_report.h"

namespace cliplens::cli {
namespace {

constexpr Index kMostGroups = 1'000;

struct SuggestOptions {
  std::string store;
  AccuracyOptions accuracy;
  std::vector<std::string> cues;
  std::string cue_file;
  std::string attribute;
  bool within_classes = false;
  Index most_images = CueOptions{}.most_images;
  std::string means;
  std::string out;
  ModelChoice model;
};

// The texts of the cue and the group of each: a line's property where it has one, else the text.
struct CueTexts {
  std::vector<std::string> texts;
  std::vector<Index> group;
  std::vector<std::string> groups;
};
CueTexts ReadCue(const SuggestOptions& options) {
  CueTexts cue;
  std::vector<std::string> names;
  if (options.cue_file.empty()) {
    cue.texts = names = options.cues;
  } else {
    const TextPool pool = ReadTextPool(options.cue_file);
    cue.texts = pool.texts;
    for (std::size_t i = 0; i < pool.texts.size(); ++i) {
      names.push_back(pool.properties[i].value_or(pool.texts[i]));
    }
  }
  for (const std::string& name : names) {
    const auto found = std::ranges::find(cue.groups, name);
    cue.group.push_back(found - cue.groups.begin());
    if (found == cue.groups.end()) cue.groups.push_back(name);
  }
  if (cue.groups.size() < 2 || static_cast<Index>(cue.groups.size()) > kMostGroups) {
    throw Error(ErrorCode::kInvalidArgument,
                "a cue of {} different texts or groups; name what the pictures differ in with two "
                "or more, such as --cue \"on the sea\" --cue \"in a forest\" (at most {})",
                cue.groups.size(), kMostGroups);
  }
  return cue;
}

void RunSuggest(const SuggestOptions& options, const Common& common) {
  const Store store = Store::Open(options.store);
  if (!options.out.empty()) RefuseExisting(options.out);
  const MeansChoice means(options.means, store, options.store);
  const ClassFile classes = ReadClassFile(options.accuracy.classes);
  const std::vector<std::string> templates = ReadTemplates(options.accuracy.templates);
  CueReport report;
  Grouping cue;
  std::optional<CueTexts> texts;
  if (options.attribute.empty()) {
    texts = ReadCue(options);
    report.cue = "texts";
    report.groups = texts->groups;
  } else {
    const AttributeGroups groups =
        GroupByAttribute(store.ReadItems(), options.attribute, kMostGroups, options.store);
    report.cue = options.attribute;
    report.groups = groups.values;
    cue.groups = static_cast<Index>(groups.values.size());
    for (const Index g : groups.of) cue.of.push_back(static_cast<std::int32_t>(g));
  }
  MatchedLabels labels;
  if (options.within_classes) {
    labels = MatchLabels(store.ReadItems(), classes, options.accuracy.label, options.store);
  }
  const ClipModel model = LoadModelOf(store, options.model);
  if (texts) {
    const Array<float, 2> rows =
        model.EmbedTexts(texts->texts, options.accuracy.truncate, common.threads);
    cue = AnswersTo(store, rows, texts->group, static_cast<Index>(texts->groups.size()));
  }
  const Array<float, 2> classifier =
      ClassifierOf(model, classes, templates, options.accuracy.truncate, common).rows;
  report.store = store.info();
  report.classes_name = classes.name;
  report.classes = classes.names;
  report.own_answers = texts.has_value();
  report.within_classes = options.within_classes;
  report.means = means.name();
  report.result = FindCue(store, classifier, cue, labels.classes,
                          {.most_images = options.most_images,
                           .threads = common.threads,
                           .progress = Progress(common, "pictures")});
  const std::vector<HeadId> chosen = report.result.chosen_heads();
  if (!options.out.empty() && !chosen.empty()) {
    Edit edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), ComponentsOf(chosen));
    edit.means = means.name();
    edit.note = fmt::format("suggested for {}",
                            texts ? fmt::format("a cue of {} groups", texts->groups.size())
                                  : "the attribute " + options.attribute);
    WriteEdit(options.out, edit);
    report.out = options.out;
  }
  if (common.json) {
    PrintJson(CueJson(report));
  } else {
    Print(CueTable(report));
    if (!report.out.empty()) Print(fmt::format("written to {}\n", report.out));
  }
  if (!options.out.empty() && chosen.empty()) {
    throw Error(ErrorCode::kPrecondition,
                "{}: no head carries surely more of the cue than of the rest, so {} is not written",
                options.store, options.out);
  }
}

void AddSuggest(CLI::App& app, Common& common) {
  auto options = std::make_shared<SuggestOptions>();
  CLI::App* verb = AddVerb(
      app, common, "suggest", "Whether the class logits follow a cue, and the heads that carry it",
      "cliplens edit suggest store --classes world/texts/birds.txt --templates "
      "world/texts/birds.templates.txt --cue \"something on the sea\" --cue "
      "\"something in the forest\" --out edit.json");
  verb->add_option("STORE", options->store, "Store directory with factors of pictures")->required();
  AddAccuracyOptions(verb, options->accuracy);
  auto* which = verb->add_option_group("cue");
  which->add_option("--cue", options->cues,
                    "Text that names one of the cue's values; twice or more. The model's own "
                    "answers are the groups");
  which->add_option("--cue-file", options->cue_file,
                    "The same from a file: one text a line, optionally a tab and its group");
  which->add_option("--attribute", options->attribute, "Attribute of the pictures that is the cue");
  which->require_option(1);
  verb->add_flag("--within-classes", options->within_classes,
                 "Measure the cue within each class, by the pictures' labels");
  verb->add_option("--most-images", options->most_images, "Of more pictures every n-th is used")
      ->check(CLI::Range(Index{2}, Index{1'000'000}))
      ->capture_default_str();
  verb->add_option("--means", options->means,
                   "Store whose means the edit has (default: STORE's own)");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "Edit file to write");
  verb->callback([options, &common] { RunSuggest(*options, common); });
}

struct MakeOptions {
  std::string store;
  std::string heads;
  std::string property;
  std::string labels;
  std::string mode = "mean";
  std::string means;
  std::string out;
};

std::vector<ComponentId> TargetsOf(const MakeOptions& options, const Store& store) {
  const auto layers = static_cast<int>(store.basis().layers());
  const auto heads = static_cast<int>(store.basis().num_heads());
  if (!options.heads.empty()) return ParseComponents(options.heads, {layers, heads});
  return ComponentsOf(ChooseHeads({.property = options.property, .labels = options.labels},
                                  store.info().fingerprint, layers, heads));
}

// x of "scale=x", nothing of "mean".
std::optional<double> ScaleOf(const std::string& mode) {
  if (mode == "mean") return std::nullopt;
  constexpr std::string_view kScale = "scale=";
  double scale = 0;
  const char* const end = mode.data() + mode.size();
  if (mode.starts_with(kScale)) {
    const auto [at, error] = std::from_chars(mode.data() + kScale.size(), end, scale);
    if (error == std::errc() && at == end) return scale;
  }
  throw Error(ErrorCode::kInvalidArgument, "--mode {}: mean or scale=X was expected, X a number",
              mode);
}

void RunMake(const MakeOptions& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExisting(options.out);
  const std::vector<ComponentId> targets = TargetsOf(options, store);
  const std::optional<double> scale = ScaleOf(options.mode);
  if (scale && !options.means.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--means is for --mode mean; {} needs no mean",
                options.mode);
  }
  Edit edit;
  if (scale) {
    edit = MakeScaleEdit(store.info(), store.basis(), *scale, targets);
  } else {
    const MeansChoice means(options.means, store, options.store);
    edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), targets);
    edit.means = means.name();
  }
  edit.note = options.property.empty() ? "heads " + options.heads
                                       : "heads of the property " + options.property;
  WriteEdit(options.out, edit);
  if (common.json) return PrintJson(EditJson(edit, options.out));
  Print(fmt::format("{}\nwritten to {}\n", EditTable(edit), options.out));
}

void AddMake(CLI::App& app, Common& common) {
  auto options = std::make_shared<MakeOptions>();
  CLI::App* verb = AddVerb(app, common, "make", "An edit of the components that are named",
                           "cliplens edit make store --heads L5.H3,L5.H4 --out edit.json");
  verb->add_option("STORE", options->store, "Store of the model (statistics are enough)")
      ->required();
  auto* which = verb->add_option_group("which components");
  which->add_option("--heads", options->heads,
                    "L11.H3, L9-L11, last-4, all, also L11.MLP, mlps and INPUT; commas between");
  which->add_option("--property", options->property,
                    "The heads that --labels names this property for");
  which->require_option(1);
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote");
  verb->add_option("--mode", options->mode, "mean: replaced by the mean; scale=X: times X")
      ->capture_default_str();
  verb->add_option("--means", options->means, "Store whose means stand in (default: STORE's own)");
  verb->add_option("--out", options->out, "Edit file to write")->required();
  verb->callback([options, &common] { RunMake(*options, common); });
}

void AddShow(CLI::App& app, Common& common) {
  auto path = std::make_shared<std::string>();
  CLI::App* verb =
      AddVerb(app, common, "show", "What an edit does", "cliplens edit show edit.json");
  verb->add_option("EDIT", *path, "Edit file")->required();
  verb->callback([path, &common] {
    const Edit edit = ReadEdit(*path);
    if (common.json) return PrintJson(EditJson(edit, *path));
    Print(EditTable(edit));
  });
}

}  // namespace

void AddEdit(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand(
      "edit", "Edits: components replaced by their means or scaled, for embed and classify");
  verb->require_subcommand(1);
  AddSuggest(*verb, common);
  AddMake(*verb, common);
  AddShow(*verb, common);
}

}  // namespace cliplens::cli
