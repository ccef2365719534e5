#include "cliplens/app/cues.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/app/edits.h"
#include "cliplens/base/error.h"
#include "cliplens/dataset/text_pool.h"

namespace cliplens {
namespace {

constexpr Index kMostGroups = 1'000;

// The texts of the cue and the group of each.
struct CueTexts {
  std::vector<std::string> texts;
  std::vector<Index> group;
  std::vector<std::string> groups;
};

// A line's group is its property where it has one, else the text.
CueTexts ReadCue(const CueChoice& choice, const OnBlankLines& on_blank) {
  CueTexts cue;
  std::vector<std::string> names;
  if (choice.file.empty()) {
    cue.texts = names = choice.texts;
  } else {
    const TextPool pool = ReadTextPool(choice.file, on_blank);
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
  if (cue.groups.size() < 2 || std::ssize(cue.groups) > kMostGroups) {
    throw Error(ErrorCode::kInvalidArgument,
                "a cue of {} different texts or groups; name what the pictures differ in with two "
                "or more, such as \"on the sea\" and \"in a forest\" (at most {})",
                cue.groups.size(), kMostGroups);
  }
  return cue;
}

Edit EditOfHeads(const Store& store, const MeansChoice& means, const CueReport& report) {
  Edit edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(),
                           ComponentsOf(report.result.chosen_heads()));
  edit.means = means.name();
  edit.note = fmt::format("suggested for {}", report.own_answers ? fmt::format("a cue of {} groups",
                                                                               report.groups.size())
                                                                 : "the attribute " + report.cue);
  return edit;
}

}  // namespace

Grouping GroupingBy(const AttributeGroups& attribute) {
  Grouping grouping;
  grouping.groups = std::ssize(attribute.values);
  for (const Index group : attribute.value_of)
    grouping.group_of.push_back(static_cast<std::int32_t>(group));
  return grouping;
}

SuggestedEdit SuggestEdit(const Store& store, const LazyModel& model, const SuggestOptions& options,
                          const Work& work) {
  const std::string place = store.directory().string();
  const MeansChoice means(store, options.means);
  const ClassTexts classes = ReadClasses(options.classes, work.on_blank);
  SuggestedEdit suggested;
  CueReport& report = suggested.report;
  Grouping cue;
  std::optional<CueTexts> texts;
  if (options.cue.attribute.empty()) {
    texts = ReadCue(options.cue, work.on_blank);
    report.cue = "texts";
    report.groups = texts->groups;
  } else {
    const AttributeGroups groups =
        GroupByAttribute(store.ReadItems(), options.cue.attribute, kMostGroups, place);
    report.cue = options.cue.attribute;
    report.groups = groups.values;
    cue = GroupingBy(groups);
  }
  MatchedLabels labels;
  if (options.within_classes) {
    labels = MatchLabels(store.ReadItems(), classes.file, options.classes.label, place);
  }
  if (texts) {
    const Array<float, 2> rows = model.EmbedTexts(texts->texts, classes.truncate, work.threads);
    cue = AnswersTo(store, rows, texts->group, std::ssize(texts->groups));
  }
  report.store = store.info();
  report.classes_name = classes.file.name;
  report.classes = classes.file.names;
  report.own_answers = texts.has_value();
  report.within_classes = options.within_classes;
  report.means = means.name();
  report.result =
      FindCue(store, EmbedClasses(model.LoadedRows(), classes, work).rows, cue, labels.classes,
              {.most_images = options.most_images,
               .threads = work.threads,
               .progress = work.Stage("pictures")});
  if (!report.result.chosen_heads().empty()) suggested.edit = EditOfHeads(store, means, report);
  return suggested;
}

}  // namespace cliplens
