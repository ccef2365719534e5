#include "cliplens/app/comparison.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "cliplens/app/heads.h"
#include "cliplens/app/label_file.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/dataset/labels.h"

namespace cliplens {
namespace {

const Store* WithoutFactors(const Store& a, const Store& b) {
  return a.info().stats_only ? &a : b.info().stats_only ? &b : nullptr;
}

std::map<HeadId, ComparedLabel> LabelsOf(const LabelReport& report) {
  std::map<HeadId, ComparedLabel> labels;
  for (const HeadLabel& head : report.labels) {
    labels[head.id] = {head.label < 0 ? "" : At(report.table.names, head.label), head.confidence};
  }
  return labels;
}

std::map<HeadId, ComparedLabel> LabelsOf(const LabelFile& file) {
  std::map<HeadId, ComparedLabel> labels;
  for (const LabelledHead& head : file.heads) labels[head.id] = {head.label, head.confidence};
  return labels;
}

// Of the heads of `store` that have no label yet, as ParseHeads reads them.
std::string HeadsWithout(const std::map<HeadId, ComparedLabel>& labels, const Store& store) {
  std::string names;
  for (const HeadId head : HeadsIn(store).Parse("all")) {
    if (!labels.contains(head)) names += (names.empty() ? "" : ",") + HeadName(head);
  }
  return names;
}

void CountChanged(ComparedLabels& labels) {
  for (const auto& [head, label] : labels.a) {
    const auto other = labels.b.find(head);
    if (other == labels.b.end()) continue;
    ++labels.heads;
    labels.changed += label.label != other->second.label ? 1 : 0;
  }
}

// The labels of the common pictures as classes. A label that differs between the stores would say
// that their pictures are not the same.
MatchedLabels LabelsOfCommon(const Store& a, const Store& b, const CommonPictures& common,
                             const ClassFile& classes, const ClassChoice& choice) {
  const auto some = [](const Store& store, const std::vector<Index>& numbers) {
    const std::vector<Item> all = store.ReadItems();
    std::vector<Item> items;
    items.reserve(numbers.size());
    for (const Index i : numbers) items.push_back(At(all, i));
    return items;
  };
  const std::vector<Item> items = some(a, common.a);
  const std::vector<Item> others = some(b, common.b);
  bool any = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::optional<std::string> label = LabelOf(items[i], choice.label);
    const std::optional<std::string> other = LabelOf(others[i], choice.label);
    any = any || label;
    if (label && other && *label != *other) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "{} has the label {} in {} and {} in {}: the stores are not of the same pictures; "
          "decompose the same set with both models",
          items[i].path, *label, a.directory().string(), *other, b.directory().string());
    }
  }
  if (!any && choice.label.empty()) {
    return {.classes = std::vector<Index>(items.size(), -1), .labelled = 0, .foreign = 0};
  }
  return MatchLabels(items, classes, choice.label, a.directory().string());
}

// One model of the two, with what maps need.
struct MapSide {
  const Store& store;
  const ClipModel& model;
  const Classifier* classes;
};

// The maps of the texts over a picture under one model.
std::vector<HeatMapPanel> TextPanelsOf(const MapSide& side, const Image& picture,
                                       const ComparisonChoice& choice, const Work& work) {
  const TokenPass pass = PassOf(side.model, picture, work.threads, choice.image);
  return PanelsOf(side.model, pass,
                  {.texts = choice.texts,
                   .heads = HeadsIn(side.model).Parse("all"),
                   .heads_text = "heads all",
                   .truncate = choice.classes.truncate},
                  work.threads);
}

// The map of a flip's margin under one model: of the new answer's class minus the old one's.
HeatMapPanel FlipPanel(const MapSide& side, const Image& picture, const std::string& path,
                       const Flip& flip, int threads) {
  const TokenPass pass = PassOf(side.model, picture, threads, path);
  const Classifier& classes = *side.classes;
  Array<float, 2> rows({2, classes.rows.dim(1)});
  std::ranges::copy(classes.rows.row(flip.after), rows.row(0).data());
  std::ranges::copy(classes.rows.row(flip.before), rows.row(1).data());
  const std::vector<HeadId> heads = HeadsIn(side.model).Parse("all");
  const std::vector<HeatMap> maps = HeatMaps(side.model, pass, rows, heads, threads);
  return {At(classes.names, flip.after), At(classes.names, flip.before), "heads all", heads,
          Difference(maps[0], maps[1])};
}

std::vector<MapPair> TextMapsOf(const MapSide& a, const MapSide& b, const ComparisonChoice& choice,
                                const Work& work) {
  const auto read = [&](const MapSide& side) {
    return ReadPicture(choice.image, side.model.config().preprocess, TurnsUpright(side.store));
  };
  const Image of_a = read(a), of_b = read(b);
  std::vector<HeatMapPanel> panels_a = TextPanelsOf(a, of_a, choice, work);
  std::vector<HeatMapPanel> panels_b = TextPanelsOf(b, of_b, choice, work);
  const MappedPicture mapped_a = MappedPictureOf(a.model, of_a, choice.image);
  const MappedPicture mapped_b = MappedPictureOf(b.model, of_b, choice.image);
  std::vector<MapPair> maps;
  for (std::size_t i = 0; i < panels_a.size(); ++i) {
    maps.push_back({mapped_a, mapped_b, std::move(panels_a[i]), std::move(panels_b[i])});
  }
  return maps;
}

void PutFlipMaps(const MapSide& a, const MapSide& b, const ComparisonChoice& choice,
                 const Work& work, ComparisonReport& report) {
  const ComparedAnswers& answers = *report.answers;
  const std::unique_ptr<ImageSet> set = OpenImagesOf(a.store, choice.images);
  if (set == nullptr) {
    report.missing.push_back(
        "heat maps of flips: the pictures are not where the store says; say with --images where "
        "they lie now");
    return;
  }
  std::map<std::string, Index> place_of;
  for (Index i = 0; i < set->size(); ++i) place_of.emplace(set->path(i), i);
  const auto check_size = [fits_a = SizeCheckFor(a.model.config().preprocess),
                           fits_b = SizeCheckFor(b.model.config().preprocess)](Index width,
                                                                               Index height) {
    fits_a(width, height);
    fits_b(width, height);
  };
  Index gone = 0;
  for (Index f = 0; f < report.flips; ++f) {
    const Flip& flip = At(answers.change.flips, f);
    const std::string& path = At(answers.common.paths, flip.picture);
    const auto place = place_of.find(path);
    if (place == place_of.end()) {
      ++gone;
      continue;
    }
    const Image picture = DecodePicture(*set, place->second, path, {.check_size = check_size});
    report.maps.push_back({MappedPictureOf(a.model, picture, path),
                           MappedPictureOf(b.model, picture, path),
                           FlipPanel(a, picture, path, flip, work.threads),
                           FlipPanel(b, picture, path, flip, work.threads)});
  }
  if (gone > 0) {
    report.missing.push_back(
        fmt::format("heat maps of {} flips: {} does not have their pictures; say with --images "
                    "where they lie now",
                    gone, set->root()));
  }
}

}  // namespace

ComparisonReport CompareStores(const Store& a, const Store& b, const ComparisonChoice& choice,
                               const Work& work) {
  ComparisonReport report;
  report.a = a.info();
  report.b = b.info();
  const Store* bare = WithoutFactors(a, b);
  CommonPictures common;
  if (bare == nullptr) common = CommonPicturesOf(a, b);
  report.change = CompareComponents(a, b, common,
                                    {.most_images = choice.most_images,
                                     .threads = work.threads,
                                     .progress = work.Stage("components")});
  const LazyModel model_a(a, choice.model), model_b(b, choice.other_model);
  const auto lacks = [&](const char* what) {
    report.missing.push_back(
        fmt::format("{}: {} keeps statistics only; decompose its pictures without --stats-only",
                    what, bare->directory().string()));
  };
  if (bare != nullptr) lacks("likeness (CKA)");
  std::optional<Classifier> classes_a, classes_b;
  if (!choice.classes.classes.empty() && bare != nullptr) lacks("accuracy and flips");
  if (!choice.classes.classes.empty() && bare == nullptr) {
    const ClassTexts texts = ReadClasses(choice.classes, work.on_blank);
    ComparedAnswers answers;
    answers.common = std::move(common);
    const MatchedLabels labels = LabelsOfCommon(a, b, answers.common, texts.file, choice.classes);
    classes_a = EmbedClasses(model_a.ForRows(), texts, work);
    classes_b = EmbedClasses(model_b.ForRows(), texts, work);
    answers.classes_name = texts.file.name;
    answers.classes = texts.file.names;
    answers.templates = std::ssize(texts.templates);
    answers.foreign = labels.foreign;
    answers.components = a.basis().components();
    if (labels.labelled == 0) {
      report.missing.push_back(
          "accuracy: no picture has a label; name the attribute that holds it with --label");
    }
    answers.change = CompareAnswers({&a, classes_a->rows, answers.common.a},
                                    {&b, classes_b->rows, answers.common.b}, labels.classes,
                                    {.threads = work.threads, .progress = work.Stage("pictures")});
    report.flips = std::min(choice.flips, std::ssize(answers.change.flips));
    report.answers = std::move(answers);
  }
  if (!choice.properties.empty() && bare != nullptr) lacks("labels by a property table");
  if (!choice.properties.empty() && bare == nullptr) {
    LabellingOptions options{.properties = choice.properties, .truncate = choice.classes.truncate};
    const LabelReport of_b = MakeLabels(b, model_b.ForRows(), options, work);
    report.labels = ComparedLabels{.name = of_b.properties_name, .b = LabelsOf(of_b)};
    if (choice.labelled != nullptr) report.labels->a = LabelsOf(*choice.labelled);
    options.heads = HeadsWithout(report.labels->a, a);
    if (!options.heads.empty()) {
      report.labels->a.merge(LabelsOf(MakeLabels(a, model_a.ForRows(), options, work)));
    }
  } else if (!choice.labels.empty()) {
    report.labels = ComparedLabels{.name = choice.labels + ", " + choice.other_labels,
                                   .a = LabelsOf(ReadLabelFile(choice.labels, HeadsIn(a))),
                                   .b = LabelsOf(ReadLabelFile(choice.other_labels, HeadsIn(b)))};
  }
  if (report.labels) CountChanged(*report.labels);
  if (!choice.image.empty() || choice.map_flips) {
    const MapSide of_a{a, model_a.Get(), classes_a ? &*classes_a : nullptr};
    const MapSide of_b{b, model_b.Get(), classes_b ? &*classes_b : nullptr};
    if (!choice.image.empty()) report.maps = TextMapsOf(of_a, of_b, choice, work);
    if (choice.map_flips && report.answers) PutFlipMaps(of_a, of_b, choice, work, report);
  }
  return report;
}

std::vector<const ComponentChange*> HeadsByChange(const ComparisonReport& report,
                                                  ChangeOrder order) {
  std::vector<const ComponentChange*> heads;
  for (const ComponentChange& c : report.change.components) {
    if (c.id.is_head()) heads.push_back(&c);
  }
  // What is not known comes last.
  const auto key = [&](const ComponentChange* c) {
    if (order == ChangeOrder::kSimilarity) return c->similarity ? c->similarity->value : 2.0;
    return c->share_change ? -std::abs(c->share_change->value) : 1.0;
  };
  std::ranges::stable_sort(heads, {}, key);
  return heads;
}

std::vector<Index> ComponentsOfFlip(const Flip& flip) {
  std::vector<Index> order(flip.components_a.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](Index i) { return flip.ComponentChange(i); });
  return order;
}

}  // namespace cliplens
