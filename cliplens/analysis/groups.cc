#include "cliplens/analysis/groups.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store_edit.h"

namespace cliplens {
namespace {

using Kind = ComponentId::Kind;

constexpr Index kGroupChunk = 64;  // pictures a task
constexpr Index kMostGroups = 4096;
constexpr Index kRecipeLayers = 4;  // that keep the heads which are not listed

std::vector<float> Floats(const Vector& v) {
  std::vector<float> out;
  for (const double x : v) out.push_back(static_cast<float>(x));
  return out;
}

Edit Sized(const Edit& like) {
  Edit edit = like;
  edit.components.clear();
  return edit;
}

// A variant in scores: it subtracts Σ over components of weight times scores and adds a constant
// [C].
struct Scored {
  std::vector<std::pair<Index, double>> parts;  // component's number (heads, INPUT, MLPs), weight
  Vector constant;
};

Scored ScoresOf(const Edit& edit, const Basis& basis, const ComponentScores& scores) {
  Scored out;
  const StoreEdit applied(basis, edit);
  out.constant = scores.Row(applied.constant());
  for (const EditComponent& c : edit.components) {
    const auto [begin, end] = basis.components().NumbersOf(c.target);
    for (Index number = begin; number < end; ++number) {
      out.parts.emplace_back(number, c.weight());
    }
  }
  return out;
}

// The group of each picture [B]: class by class, −1 without a class or an attribute.
std::vector<Index> CellsOf(const PictureGroups& groups) {
  const Index cells = groups.num_classes * groups.num_attributes;
  if (groups.num_classes < 1 || groups.num_attributes < 1) {
    throw Error(ErrorCode::kInvalidArgument, "groups: {} classes and {} values of the attribute",
                groups.num_classes, groups.num_attributes);
  }
  if (cells > kMostGroups) {
    throw Error(ErrorCode::kInvalidArgument,
                "groups: {} classes x {} values of the attribute make {} groups, more than {}",
                groups.num_classes, groups.num_attributes, cells, kMostGroups);
  }
  if (groups.attributes.size() != groups.classes.size()) {
    throw Error(ErrorCode::kInvalidArgument, "groups: {} classes for {} attributes",
                groups.classes.size(), groups.attributes.size());
  }
  if (!groups.weights.empty() && static_cast<Index>(groups.weights.size()) != cells) {
    throw Error(ErrorCode::kInvalidArgument, "groups: {} weights for {} groups",
                groups.weights.size(), cells);
  }
  std::vector<Index> cell_of;
  for (std::size_t b = 0; b < groups.classes.size(); ++b) {
    const Index c = groups.classes[b];
    const Index a = groups.attributes[b];
    if (c >= groups.num_classes || a >= groups.num_attributes) {
      throw Error(ErrorCode::kInvalidArgument,
                  "groups: class {} and value {} of picture {} for {} classes and {} values", c, a,
                  b, groups.num_classes, groups.num_attributes);
    }
    cell_of.push_back(c < 0 || a < 0 ? -1 : c * groups.num_attributes + a);
  }
  return cell_of;
}

// Sums of pictures by group and block: [cells][blocks].
using CellSums = std::vector<std::vector<double>>;
CellSums NoSums(Index cells, const Bootstrap& bootstrap) {
  return CellSums(ToSize(cells), std::vector<double>(ToSize(bootstrap.blocks()), 0.0));
}

// The figures of `right` answers among the pictures.
GroupRow RowOfSums(const std::string& name, const PictureGroups& groups, const CellSums& right,
                   const CellSums& pictures, const Bootstrap& bootstrap) {
  const Index num_attributes = groups.num_attributes;
  std::vector<double> weights;  // of the groups that are counted
  GroupRow row;
  row.name = name;
  std::vector<std::vector<double>> columns, counted;
  for (std::size_t cell = 0; cell < pictures.size(); ++cell) {
    double count = 0;
    for (const double in_block : pictures[cell]) count += in_block;
    if (count == 0) continue;
    columns.push_back(right[cell]);
    counted.push_back(pictures[cell]);
    if (!groups.weights.empty()) weights.push_back(groups.weights[cell]);
    const auto number = static_cast<Index>(cell);
    row.groups.push_back(
        {number / num_attributes, number % num_attributes, static_cast<Index>(count), Estimate()});
  }
  const std::size_t n = counted.size();
  const std::vector<Estimate> accuracies = bootstrap.Ratios(columns, counted);
  for (std::size_t i = 0; i < n; ++i) row.groups[i].accuracy = accuracies[i];
  std::ranges::move(counted, std::back_inserter(columns));
  // A draw that lacks all pictures of some group has no worst group.
  const auto worst_of = [n](std::span<const double> s) {
    double worst = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < n; ++i) {
      if (s[n + i] <= 0) return std::numeric_limits<double>::quiet_NaN();
      worst = std::min(worst, s[i] / s[n + i]);
    }
    return worst;
  };
  const auto average_of = [n](std::span<const double> s) {
    double of_all = 0;
    double all = 0;
    for (std::size_t i = 0; i < n; ++i) {
      of_all += s[i];
      all += s[n + i];
    }
    return all > 0 ? of_all / all : std::numeric_limits<double>::quiet_NaN();
  };
  const auto mean_of = [n](std::span<const double> s) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (s[n + i] <= 0) return std::numeric_limits<double>::quiet_NaN();
      sum += s[i] / s[n + i];
    }
    return sum / static_cast<double>(n);
  };
  const auto weighted_of = [&](std::span<const double> s) {
    double sum = 0;
    double all = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (weights[i] <= 0) continue;
      if (s[n + i] <= 0) return std::numeric_limits<double>::quiet_NaN();
      sum += weights[i] * s[i] / s[n + i];
      all += weights[i];
    }
    return all > 0 ? sum / all : std::numeric_limits<double>::quiet_NaN();
  };
  std::vector<Bootstrap::Figure> figures = {worst_of, average_of, mean_of};
  if (!weights.empty()) figures.emplace_back(weighted_of);
  const std::vector<Estimate> estimates = bootstrap.Of(columns, figures);
  row.worst = estimates[0];
  row.average = estimates[1];
  row.group_mean = estimates[2];
  if (!weights.empty()) row.weighted = estimates[3];
  return row;
}

void CheckAnswers(std::size_t labels, std::size_t answers, std::size_t blocks) {
  if (labels == answers && labels == blocks) return;
  throw Error(ErrorCode::kInvalidArgument, "answers: {} of {} pictures in blocks of {}", answers,
              labels, blocks);
}

}  // namespace

Edit WithMeans(const Edit& edit, const Basis& basis, const Statistics& means) {
  const ContributionMeans contributions(basis, means);
  Edit out = edit;
  for (EditComponent& c : out.components) {
    if (c.mean) c.constant = Floats(contributions.Of(c.target));
  }
  out.means_images = means.images();
  return out;
}

std::vector<Edit> RandomEdits(const Edit& edit, const Basis& basis, const Statistics& means,
                              Index draws, std::uint64_t seed) {
  std::map<int, std::vector<const EditComponent*>> by_layer;
  for (const EditComponent& c : edit.components) {
    if (c.target.kind == Kind::kHead) by_layer[c.target.layer].push_back(&c);
  }
  std::vector<Edit> edits;
  if (by_layer.empty()) return edits;
  // The standard fixes the engine's numbers, but not those of its distributions.
  std::mt19937_64 engine(seed);
  for (Index draw = 0; draw < draws; ++draw) {
    Edit random = Sized(edit);
    for (const EditComponent& c : edit.components) {
      if (c.target.kind != Kind::kHead) random.components.push_back(c);
    }
    for (const auto& [layer, components] : by_layer) {
      std::vector<int> heads;
      for (Index h = 0; h < basis.num_heads(); ++h) heads.push_back(static_cast<int>(h));
      for (std::size_t i = 0; i < components.size(); ++i) {
        const std::size_t left = heads.size() - i;
        std::swap(heads[i], heads[i + ToSize(engine() % left)]);
        EditComponent c = *components[i];
        c.target = {layer, Kind::kHead, heads[i], basis.components().level()};
        random.components.push_back(std::move(c));
      }
    }
    std::ranges::sort(random.components, {}, &EditComponent::target);
    edits.push_back(WithMeans(random, basis, means));
  }
  return edits;
}

Edit RecipeEdit(const Edit* edit, const StoreInfo& store, const Basis& basis,
                const Statistics& means) {
  const auto layers = static_cast<int>(basis.layers());
  const int early = std::max(0, layers - static_cast<int>(kRecipeLayers));
  std::vector<ComponentId> targets = {{0, Kind::kInput, 0}};
  for (int l = 0; l < layers; ++l) {
    if (l < early) targets.push_back({l, Kind::kLayer, 0});
    targets.push_back({l, Kind::kMlp, 0});
  }
  if (edit != nullptr) {
    for (const EditComponent& c : edit->components) {
      const ComponentId& t = c.target;
      if ((t.kind == Kind::kHead || t.kind == Kind::kLayer) && t.layer >= early) {
        targets.push_back(t);
      }
    }
  }
  std::ranges::sort(targets);
  return MakeMeanEdit(store, basis, means, targets);
}

double DistanceOfMeans(const Edit& edit, const Basis& basis, const Statistics& store) {
  const ContributionMeans own(basis, store);
  double apart = 0;
  double variance = 0;
  for (const EditComponent& c : edit.components) {
    if (!c.mean) continue;
    const Vector mean = own.Of(c.target);
    for (std::size_t e = 0; e < c.constant.size(); ++e) {
      const double d = static_cast<double>(c.constant[e]) - mean[static_cast<Index>(e)];
      apart += d * d;
    }
    variance += own.VarianceOf(c.target);
  }
  return variance > 0 ? std::sqrt(apart / variance) : 0.0;
}

std::vector<Index> BootstrapBlocks(std::span<const Item> items) {
  std::vector<Index> blocks;
  for (const Item& item : items) blocks.push_back(SliceOf(item.path, kBootstrapBlocks));
  return blocks;
}

GroupRow RowOfAnswers(const std::string& name, const PictureGroups& groups,
                      std::span<const Index> answers, std::span<const Index> blocks) {
  CheckAnswers(groups.classes.size(), answers.size(), blocks.size());
  const std::vector<Index> cell_of = CellsOf(groups);
  if (std::ranges::all_of(cell_of, [](Index cell) { return cell < 0; })) {
    throw Error(ErrorCode::kInvalidArgument, "groups: no picture has a class and an attribute");
  }
  static const Bootstrap bootstrap;
  CellSums right = NoSums(groups.num_classes * groups.num_attributes, bootstrap);
  CellSums pictures = right;
  for (std::size_t b = 0; b < cell_of.size(); ++b) {
    if (cell_of[b] < 0) continue;
    const auto cell = ToSize(cell_of[b]);
    const auto at = ToSize(blocks[b]);
    pictures[cell][at] += 1;
    if (answers[b] == groups.classes[b]) right[cell][at] += 1;
  }
  return RowOfSums(name, groups, right, pictures, bootstrap);
}

Estimate AccuracyOfAnswers(std::span<const Index> labels, std::span<const Index> answers,
                           std::span<const Index> blocks) {
  CheckAnswers(labels.size(), answers.size(), blocks.size());
  static const Bootstrap bootstrap;
  std::vector<double> right(ToSize(bootstrap.blocks()), 0.0);
  std::vector<double> pictures = right;
  for (std::size_t b = 0; b < labels.size(); ++b) {
    if (labels[b] < 0) continue;
    const auto at = ToSize(blocks[b]);
    pictures[at] += 1;
    if (answers[b] == labels[b]) right[at] += 1;
  }
  return bootstrap.Ratio(right, pictures);
}

namespace {

// Whether each picture [B] of a block is answered rightly under each variant [B, variants].
std::vector<char> RightAnswers(const FactorBlock& block, const ComponentScores& scores,
                               std::span<const Scored> variants, std::span<const Index> labels,
                               int threads) {
  std::set<Index> used;
  for (const Scored& variant : variants) {
    for (const auto& [number, weight] : variant.parts) used.insert(number);
  }
  const Index images = block.images();
  std::vector<char> right(ToSize(images) * variants.size(), 0);
  ParallelFor(threads, (images + kGroupChunk - 1) / kGroupChunk, [&](Index task, int) {
    const Index begin = task * kGroupChunk;
    const Index end = std::min(begin + kGroupChunk, images);
    const Matrix base = scores.Rows(block.embedding.rows(begin, end));
    std::map<Index, Matrix> parts;
    for (const Index number : used) {
      parts.emplace(number, scores.Component(number, block, begin, end));
    }
    for (std::size_t v = 0; v < variants.size(); ++v) {
      Matrix edited = base;
      for (const auto& [number, weight] : variants[v].parts) edited -= weight * parts.at(number);
      edited.rowwise() += variants[v].constant.transpose();
      for (Index b = begin; b < end; ++b) {
        right[ToSize(b) * variants.size() + v] =
            BestClass(edited, b - begin) == At(labels, b) ? 1 : 0;
      }
    }
  });
  return right;
}

}  // namespace

GroupResult EvaluateGroups(const Store& store, ArrayView<const float, 2> classifier,
                           const PictureGroups& groups, std::span<const GroupVariant> variants,
                           const GroupOptions& options) {
  const Index cells = groups.num_classes * groups.num_attributes;
  if (classifier.dim(0) != groups.num_classes) {
    throw Error(ErrorCode::kInvalidArgument, "groups: {} classes for {} classifiers",
                groups.num_classes, classifier.dim(0));
  }
  const std::vector<Index> cell_of = CellsOf(groups);
  CheckLabels("groups", store, cell_of, cells);

  const Basis& basis = store.basis();
  const ComponentScores scores(basis, classifier, options.threads);
  std::vector<Scored> scored;
  for (const GroupVariant& variant : variants) {
    scored.push_back(variant.edit.components.empty() ? Scored{{}, Vector::Zero(groups.num_classes)}
                                                     : ScoresOf(variant.edit, basis, scores));
  }

  const Bootstrap bootstrap;
  const auto num_variants = static_cast<Index>(variants.size());
  std::vector<CellSums> sums(variants.size(), NoSums(cells, bootstrap));  // right answers
  CellSums pictures = NoSums(cells, bootstrap);
  Index first = 0;
  GroupResult result;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const FactorBlock block = store.ReadShard(s);
    const std::vector<Item> items = store.ReadItems(s);
    const Index images = block.images();
    const std::vector<char> right = RightAnswers(
        block, scores, scored, std::span(groups.classes).subspan(ToSize(first), ToSize(images)),
        options.threads);
    for (Index b = 0; b < images; ++b) {
      const Index cell = At(cell_of, first + b);
      if (cell < 0) continue;
      const auto in = ToSize(cell);
      const auto at = ToSize(SliceOf(At(items, b).path, bootstrap.blocks()));
      for (Index v = 0; v < num_variants; ++v) {
        At(sums, v)[in][at] += At(right, b * num_variants + v);
      }
      pictures[in][at] += 1;
      ++result.images;
    }
    first += images;
    if (options.progress) options.progress(first, store.info().images);
  }

  for (Index cell = 0; cell < cells; ++cell) {
    const auto& in_blocks = At(pictures, cell);
    if (std::ranges::all_of(in_blocks, [](double count) { return count == 0; })) {
      result.empty_groups.emplace_back(cell / groups.num_attributes, cell % groups.num_attributes);
    }
  }
  for (std::size_t v = 0; v < variants.size(); ++v) {
    result.rows.push_back(RowOfSums(variants[v].name, groups, sums[v], pictures, bootstrap));
  }
  return result;
}

}  // namespace cliplens
