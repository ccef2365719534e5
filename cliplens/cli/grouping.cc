#include "cliplens/cli/grouping.h"

#include <fmt/format.h>

#include "cliplens/analysis/cue.h"
#include "cliplens/analysis/groups.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/edit_choice.h"
#include "cliplens/cli/head_choice.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/report/edit_report.h"

namespace cliplens::cli {
namespace {

constexpr Index kMostValues = 1'000;

// The edit that is asked for: a file, or named heads replaced by the means that stand in.
std::optional<Edit> EditOf(const GroupingOptions& options, const Store& store,
                           const MeansChoice& means) {
  if (!options.edit.empty()) return ReadEditOf(options.edit, store);
  if (options.heads.empty() && options.property.empty()) return std::nullopt;
  const auto layers = static_cast<int>(store.basis().layers());
  const auto heads = static_cast<int>(store.basis().num_heads());
  const std::vector<ComponentId> targets =
      options.heads.empty()
          ? ComponentsOf(ChooseHeads({.property = options.property, .labels = options.labels},
                                     store.info().fingerprint, layers, heads))
          : ParseComponents(options.heads, {layers, heads});
  Edit edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), targets);
  edit.means = means.name();
  return edit;
}

bool SameMeans(const Edit& a, const Edit& b) {
  return std::ranges::equal(a.components, b.components,
                            [](const auto& x, const auto& y) { return x.constant == y.constant; });
}

// The sentence of `edit suggest --attribute NAME --within-classes`.
std::string LeanOn(const AttributeGroups& attribute, const Store& store, const AccuracyInput& input,
                   const Common& common) {
  Grouping cue;
  cue.groups = static_cast<Index>(attribute.values.size());
  for (const Index g : attribute.of) cue.of.push_back(static_cast<std::int32_t>(g));
  CueReport report;
  report.within_classes = true;
  try {
    report.result = FindCue(store, input.classifier, cue, input.labels.classes,
                            {.threads = common.threads, .progress = Progress(common, "cue")});
  } catch (const Error& error) {
    // Too few pictures to hold half of them out; the groups are shown all the same.
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    return fmt::format("how far the class logits follow it is not known: {}", error.what());
  }
  return LeanText(report);
}

}  // namespace

GroupReport MakeGroups(const Store& store, const std::string& store_name, const ClipModel& model,
                       const GroupingOptions& options, const AccuracyOptions& accuracy,
                       const Common& common) {
  const MeansChoice means(options.means, store, store_name);
  const std::optional<Edit> edit = EditOf(options, store, means);
  const AttributeGroups attribute =
      GroupByAttribute(store.ReadItems(), options.attribute, kMostValues, store_name);
  const AccuracyInput input = ReadAccuracyInput(store, model, accuracy, common);

  GroupReport report;
  report.setting = input.setting;
  report.setting.means = options.means;
  report.classes = ReadClassFile(accuracy.classes).names;
  report.attribute = options.attribute;
  report.values = attribute.values;
  report.without = attribute.without;
  report.seed = options.seed;

  if (options.lean) report.lean = LeanOn(attribute, store, input, common);

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
                store_name, At(report.classes, c), At(report.values, a), options.attribute,
                report.result.empty_groups.size(), report.classes.size() * report.values.size());
  }
  return report;
}

}  // namespace cliplens::cli
