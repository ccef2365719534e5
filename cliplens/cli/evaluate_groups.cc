// cliplens evaluate groups STORE --classes FILE --attribute NAME
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/groups.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/accuracy.h"
#include "cliplens/cli/edit_choice.h"
#include "cliplens/cli/head_choice.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/report/group_report.h"

namespace cliplens::cli {
namespace {

constexpr Index kMostValues = 1'000;

struct Options {
  std::string store;
  std::string attribute;
  std::string edit;
  std::string heads;
  std::string property;
  std::string labels;
  std::string means;
  Index random = 5;
  std::uint64_t seed = 1;
  bool skip_empty = false;
  AccuracyOptions accuracy;
  ModelChoice model;
  std::string out;
  std::string csv;
};

// The edit that is asked for: a file, or named heads replaced by the means that stand in.
std::optional<Edit> EditOf(const Options& options, const Store& store, const MeansChoice& means) {
  if (!options.edit.empty()) return ReadEditOf(options.edit, store);
  if (options.heads.empty() && options.property.empty()) return std::nullopt;
  const auto layers = static_cast<int>(store.basis().layers());
  const auto heads = static_cast<int>(store.basis().num_heads());
  const std::vector<EditTarget> targets =
      options.heads.empty()
          ? EditTargetsOf(ChooseHeads({.property = options.property, .labels = options.labels},
                                      store.info().fingerprint, layers, heads))
          : ParseEditTargets(options.heads, layers, heads);
  Edit edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), targets);
  edit.means = means.name();
  return edit;
}

bool SameMeans(const Edit& a, const Edit& b) {
  return std::ranges::equal(a.components, b.components,
                            [](const auto& x, const auto& y) { return x.constant == y.constant; });
}

void Run(const Options& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExistingIfNamed({options.out, options.csv});
  const MeansChoice means(options.means, store, options.store);
  const std::optional<Edit> edit = EditOf(options, store, means);
  const AttributeGroups attribute =
      GroupByAttribute(store.ReadItems(), options.attribute, kMostValues, options.store);
  const ClipModel model = LoadModelOf(store, options.model);
  const AccuracyInput input = ReadAccuracyInput(store, model, options.accuracy, common);

  GroupReport report;
  report.setting = input.setting;
  report.setting.means = options.means;
  report.classes = ReadClassFile(options.accuracy.classes).names;
  report.attribute = options.attribute;
  report.values = attribute.values;
  report.without = attribute.without;
  report.seed = options.seed;

  std::vector<GroupVariant> variants = {{"base", {}}};
  const Basis& basis = store.basis();
  if (edit) {
    report.edit = options.edit;
    report.edit_means = edit->means;
    report.edit_names = edit->Names();
    report.means_distance = DistanceOfMeans(*edit, basis, store.statistics());
    variants.push_back({"edit", *edit});
    const Edit again = WithMeans(*edit, basis, means.statistics());
    if (!SameMeans(*edit, again)) variants.push_back({"edit-means", again});
    const std::vector<Edit> draws =
        RandomEdits(*edit, basis, means.statistics(), options.random, options.seed);
    report.draws = static_cast<Index>(draws.size());
    for (std::size_t i = 0; i < draws.size(); ++i) {
      variants.push_back({fmt::format("random-{}", i + 1), draws[i]});
    }
    variants.push_back({"recipe", RecipeEdit(&*edit, store.info(), basis, means.statistics())});
  }
  const Edit rest = RecipeEdit(nullptr, store.info(), basis, means.statistics());
  variants.push_back({"recipe-rest", rest});
  report.other_distance = DistanceOfMeans(edit ? WithMeans(*edit, basis, means.statistics()) : rest,
                                          basis, store.statistics());

  report.result = EvaluateGroups(
      store, input.classifier,
      {input.labels.classes, attribute.of, input.classifier.dim(0),
       static_cast<Index>(attribute.values.size())},
      variants, {.threads = common.threads, .progress = Progress(common, "pictures")});
  if (!report.result.empty_groups.empty() && !options.skip_empty) {
    const auto [c, a] = report.result.empty_groups.front();
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no picture of the class '{}' has '{}' as its {} ({} of {} groups are empty); "
                "--skip-empty leaves empty groups out",
                options.store, report.classes[static_cast<std::size_t>(c)],
                report.values[static_cast<std::size_t>(a)], options.attribute,
                report.result.empty_groups.size(), report.classes.size() * report.values.size());
  }
  for (const std::string& warning : GroupWarnings(report)) {
    if (common.json) PrintProblem("warning: " + warning);
  }
  const Json json = GroupJson(report);
  WriteIfNamed(options.out, DumpJson(json) + "\n");
  WriteIfNamed(options.csv, GroupCsv(report));
  if (common.json) return PrintJson(json);
  Print(GroupTable(report));
}

}  // namespace

void AddEvaluateGroups(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(
      app, common, "groups", "Accuracy by group of class and attribute, before and after an edit",
      "cliplens evaluate groups store --classes world/texts/birds.txt --templates "
      "world/texts/birds.templates.txt --attribute place_kind --edit edit.json");
  verb->add_option("STORE", options->store, "Store directory with factors of pictures")->required();
  AddAccuracyOptions(verb, options->accuracy);
  verb->add_option("--attribute", options->attribute,
                   "Attribute of the pictures that makes groups of each class")
      ->required();
  auto* which = verb->add_option_group("edit");
  which->add_option("--edit", options->edit, "Edit file (cliplens edit)");
  which->add_option("--heads", options->heads,
                    "Components to replace by means: L11.H3, L9-L11, L11.MLP, mlps, INPUT");
  which->add_option("--property", options->property,
                    "Replace the heads that --labels names this property for");
  which->require_option(0, 1);
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote");
  verb->add_option("--means", options->means, "Store whose means stand in (default: STORE's own)");
  verb->add_option("--random", options->random, "Draws of as many random heads")
      ->check(CLI::Range(0, 1'000))
      ->capture_default_str();
  verb->add_option("--seed", options->seed, "Of the random heads")->capture_default_str();
  verb->add_flag("--skip-empty", options->skip_empty, "Leave groups without pictures out");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_option("--csv", options->csv, "CSV file to write, with every group");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
