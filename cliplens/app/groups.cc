#include "cliplens/app/groups.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/file.h"
#include "cliplens/io/normal_form.h"

namespace cliplens {
namespace {

constexpr Index kMostValues = 1'000;

// The edit that is asked for: a file, or named components replaced by means.
std::optional<Edit> EditOfChoice(const GroupChoice& choice, const Store& store,
                                 const MeansChoice& means) {
  if (!choice.edit.empty()) return ReadEditFor(store, choice.edit);
  if (choice.which.heads.empty() && choice.which.property.empty()) return std::nullopt;
  Edit edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(),
                           ChooseTargets(choice.which, HeadsIn(store)));
  edit.means = means.name();
  return edit;
}

bool SameMeans(const Edit& a, const Edit& b) {
  return std::ranges::equal(a.components, b.components,
                            [](const auto& x, const auto& y) { return x.constant == y.constant; });
}

// What `edit suggest --attribute NAME --within-classes` finds.
GroupLean LeanOn(const AttributeGroups& attribute, const Store& store, const AccuracyInput& input,
                 const Work& work) {
  GroupLean lean;
  lean.report.within_classes = true;
  try {
    lean.report.result =
        FindCue(store, input.classifier.rows, GroupingBy(attribute), input.labels.classes,
                {.threads = work.threads, .progress = work.Stage("cue")});
  } catch (const Error& error) {
    // Too few pictures to hold half of them out; the groups are shown all the same.
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    lean.unknown = error.what();
  }
  return lean;
}

// The variants to measure; their names and distances go into the report.
std::vector<GroupVariant> VariantsOf(const Store& store, const std::optional<Edit>& edit,
                                     const MeansChoice& means, const GroupChoice& choice,
                                     GroupReport& report) {
  const Basis& basis = store.basis();
  const Statistics& other = means.statistics();
  std::vector<GroupVariant> variants = {{"base", {}}};
  // The recipe is one for blocks.
  std::optional<Edit> rest;
  if (basis.components().level() == Level::kBlocks) {
    rest = RecipeEdit(nullptr, store.info(), basis, other);
  }
  if (edit) {
    const Edit again = WithMeans(*edit, basis, other);
    report.edit = choice.edit;
    report.edit_means = edit->means;
    report.edit_names = edit->Names();
    report.means_distance = DistanceOfMeans(*edit, basis, store.statistics());
    report.other_distance = DistanceOfMeans(again, basis, store.statistics());
    variants.push_back({"edit", *edit});
    if (!SameMeans(*edit, again)) variants.push_back({"edit-means", again});
    for (const Edit& draw : RandomEdits(*edit, basis, other, choice.random, choice.seed)) {
      variants.push_back({fmt::format("random-{}", ++report.draws), draw});
    }
    if (rest) variants.push_back({"recipe", RecipeEdit(&*edit, store.info(), basis, other)});
  } else if (rest) {
    report.other_distance = DistanceOfMeans(*rest, basis, store.statistics());
  }
  if (rest) variants.push_back({"recipe-rest", *rest});
  return variants;
}

void RefuseEmptyGroups(const GroupReport& report, const std::string& store) {
  if (report.result.empty_groups.empty()) return;
  const auto [c, a] = report.result.empty_groups.front();
  throw Error(ErrorCode::kInvalidArgument,
              "{}: no picture of the class '{}' has '{}' as its {} ({} of {} groups are empty); "
              "--skip-empty leaves empty groups out",
              store, At(report.classes, c), At(report.values, a), report.attribute,
              report.result.empty_groups.size(), report.classes.size() * report.values.size());
}

std::vector<Item> ItemsOf(const std::string& place, const std::string& split) {
  if (IsStore(place)) {
    if (!split.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: is a store, of which all pictures are counted; name the pictures themselves "
                  "for a split of them",
                  place);
    }
    return Store::Open(place).ReadItems();
  }
  const std::unique_ptr<ImageSet> set =
      OpenImageSet(place, {.split = split, .on_error = OnError::kSkip});
  std::vector<Item> items;
  for (Index i = 0; i < set->size(); ++i) items.push_back(set->item(i));
  return items;
}

GroupWeights WeightsOf(const GroupChoice& choice, const ClassFile& classes,
                       const std::vector<std::string>& values) {
  const std::vector<Item> items = ItemsOf(choice.weights_from, choice.weights_split);
  const MatchedLabels labels =
      MatchLabels(items, classes, choice.classes.label, choice.weights_from);
  GroupWeights weights{.from = choice.weights_from, .counts = {}};
  weights.counts.resize(classes.names.size() * values.size(), 0.0);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::optional<std::string> value = LabelOf(items[i], choice.attribute);
    if (labels.classes[i] < 0 || !value) continue;
    const auto found = std::ranges::find(values, NormalizedText(*value));
    if (found == values.end()) continue;
    const Index cell = labels.classes[i] * std::ssize(values) + (found - values.begin());
    At(weights.counts, cell) += 1;
    ++weights.images;
  }
  if (weights.images == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: none of its {} pictures has a class and one of the {} values of '{}' that the "
                "store's pictures have, so they weigh no group",
                choice.weights_from, items.size(), values.size(), choice.attribute);
  }
  return weights;
}

}  // namespace

GroupReport MakeGroups(const Store& store, const RowModel& model, const GroupChoice& choice,
                       const Work& work) {
  const MeansChoice means(store, choice.means);
  const std::optional<Edit> edit = EditOfChoice(choice, store, means);
  const AttributeGroups attribute = GroupByAttribute(store.ReadItems(), choice.attribute,
                                                     kMostValues, store.directory().string());
  const AccuracyInput input = OpenAccuracy(store, model, choice.classes, work);

  GroupReport report;
  report.setting = input.setting;
  report.setting.means = choice.means;
  report.classes = input.classifier.names;
  report.attribute = choice.attribute;
  report.values = attribute.values;
  report.without = attribute.without;
  report.seed = choice.seed;
  if (!choice.weights_from.empty()) {
    report.weights = WeightsOf(choice, input.classes, attribute.values);
  }
  if (choice.lean) report.lean = LeanOn(attribute, store, input, work);
  const std::vector<GroupVariant> variants = VariantsOf(store, edit, means, choice, report);
  report.result =
      EvaluateGroups(store, input.classifier.rows,
                     {input.labels.classes, attribute.value_of, input.classifier.rows.dim(0),
                      std::ssize(attribute.values),
                      report.weights ? report.weights->counts : std::vector<double>()},
                     variants, {.threads = work.threads, .progress = work.Stage("pictures")});
  if (!choice.skip_empty) RefuseEmptyGroups(report, store.directory().string());
  return report;
}

}  // namespace cliplens
