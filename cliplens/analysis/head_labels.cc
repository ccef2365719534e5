#include "cliplens/analysis/head_labels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/label_questions.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

constexpr std::size_t kEvidence = 8;
// A second property explains, beyond the first, at least this part of what the first does.
constexpr double kSecond = 0.5;
// Coefficients of the confidence, a logistic function of LabelFeatures: bench/truth/calibrate.py.
constexpr double kIntercept = 1.73, kLogMargin = 0.62, kLogShare = 1.81, kStability = 4.64;

Index LargestOf(const std::vector<double>& shares) {
  Index best = 0;
  for (std::size_t p = 1; p < shares.size(); ++p) {
    if (shares[p] > At(shares, best)) best = static_cast<Index>(p);
  }
  return best;
}

void PutEvidence(const HeadRows& rows, const AskedPictures& pictures, HeadLabel& head) {
  const Question& question = At(pictures.properties, head.label);
  const GroupSums sums = SumGroups(rows, question.answers);
  for (Index g = 0; g < question.answers.groups; ++g) {
    const double count = At(sums.counts, g);
    if (count == 0) continue;
    head.texts.push_back(
        {At(question.rows, g), sums.sums.row(g).squaredNorm() / count / rows.total});
  }
  for (Index b = 0; b < rows.y.rows(); ++b) {
    const Index g = At(question.answers.group_of, b);
    const double score = rows.y.row(b).dot(sums.sums.row(g)) / At(sums.counts, g);
    head.pictures.push_back({At(pictures.index, b), score});
  }
  for (std::vector<LabelEvidence>* evidence : {&head.texts, &head.pictures}) {
    const std::size_t count = std::min(kEvidence, evidence->size());
    std::partial_sort(evidence->begin(), evidence->begin() + static_cast<std::ptrdiff_t>(count),
                      evidence->end(), [](const LabelEvidence& a, const LabelEvidence& b) {
                        return a.share != b.share ? a.share > b.share : a.index < b.index;
                      });
    evidence->resize(count);
  }
}

// Sets share and chance of each property; returns the shares on parts of the pictures.
std::vector<SlicedShare> PutShares(const HeadRows& rows, const AskedPictures& pictures,
                                   const PropertyTable& table, HeadLabel& head) {
  std::map<Index, double> chance;  // the largest share by the number of random texts
  for (const auto& [size, draws] : pictures.chance) {
    double& largest = chance[size];
    for (const Question& random : draws) largest = std::max(largest, ShareOf(rows, random.answers));
  }
  std::vector<SlicedShare> sliced;
  for (std::size_t p = 0; p < table.names.size(); ++p) {
    PropertyShare& property = head.properties[p];
    sliced.emplace_back(rows, pictures.properties[p].answers, pictures.slice, kLabelSlices);
    property.share = sliced.back().Jackknife();
    property.chance = chance.at(ChanceSize(table.texts[p].size()));
  }
  return sliced;
}

// Sets what the other properties explain beyond the `first`, the rival among them, and what the
// first explains beyond the rival.
void PutRival(const HeadRows& rows, const AskedPictures& pictures, Index first, HeadLabel& head) {
  const auto answers = [&](Index p) -> const Grouping& {
    return At(pictures.properties, p).answers;
  };
  const auto beyond = [&](const HeadRows& rest, Index p) {
    return ShareOf(rest, answers(p)) * rest.total / rows.total;
  };
  const HeadRows rest = Within(rows, answers(first));
  for (Index p = 0; p < static_cast<Index>(head.properties.size()); ++p) {
    if (p == first) continue;
    PropertyShare& property = At(head.properties, p);
    property.beyond = beyond(rest, p);
    if (head.rival < 0 || property.beyond > At(head.properties, head.rival).beyond) head.rival = p;
  }
  At(head.properties, first).beyond = beyond(Within(rows, answers(head.rival)), first);
}

// The share of the halves of pictures and of texts whose largest property is `first`.
double Stability(const HeadRows& rows, const AskedPictures& pictures,
                 const std::vector<SlicedShare>& sliced, Index first) {
  double same = 0;
  for (const std::vector<bool>& half : pictures.halves) {
    std::vector<double> shares;
    shares.reserve(sliced.size());
    for (const SlicedShare& property : sliced) shares.push_back(property.Share(half));
    same += LargestOf(shares) == first ? 1 : 0;
  }
  for (const std::vector<Question>& half : pictures.text_halves) {
    std::vector<double> shares;
    shares.reserve(half.size());
    for (const Question& property : half) shares.push_back(ShareOf(rows, property.answers));
    same += LargestOf(shares) == first ? 1 : 0;
  }
  return same / static_cast<double>(pictures.halves.size() + pictures.text_halves.size());
}

HeadLabel LabelHead(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                    const AskedPictures& pictures, const PropertyTable& table) {
  HeadLabel head;
  head.id = id;
  head.properties.resize(table.names.size());
  const HeadRows rows = ReadHeadRows(store, id, ln, pictures.index);
  if (rows.total == 0) return head;
  const std::vector<SlicedShare> sliced = PutShares(rows, pictures, table, head);
  std::vector<double> shares;
  for (const PropertyShare& property : head.properties) shares.push_back(property.share.value);
  const Index first = LargestOf(shares);
  PutRival(rows, pictures, first, head);

  // The best of many properties may beat chance by luck, so the lower bound of its share counts
  // too.
  const PropertyShare& best = At(head.properties, first);
  if (best.share.value <= best.chance || best.share.low <= 0) return head;
  head.label = first;
  head.coverage = best.share.value;
  const PropertyShare& next = At(head.properties, head.rival);
  if (next.beyond >= kSecond * best.share.value && next.share.value > next.chance) {
    head.second = head.rival;
  }
  head.stability = Stability(rows, pictures, sliced, first);
  const LabelFeatures f = FeaturesOf(head);
  head.confidence = 1 / (1 + std::exp(-(kIntercept + kLogMargin * f.log_margin +
                                        kLogShare * f.log_share + kStability * f.stability)));
  PutEvidence(rows, pictures, head);
  return head;
}

}  // namespace

PropertyTable PropertiesOf(const TextPool& pool) {
  PropertyTable table;
  std::map<std::string, std::size_t> number;
  for (std::size_t t = 0; t < pool.texts.size(); ++t) {
    if (!pool.properties[t]) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: text {} has no property; write it behind a tab, on every line", pool.name,
                  t + 1);
    }
    const auto [at, added] = number.emplace(*pool.properties[t], table.names.size());
    if (added) {
      table.names.push_back(*pool.properties[t]);
      table.texts.emplace_back();
    }
    table.texts[at->second].push_back(static_cast<Index>(t));
  }
  for (std::size_t p = 0; p < table.names.size(); ++p) {
    if (table.texts[p].size() < 2) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: property '{}' has one text; a property has at least two, one for each value",
                  pool.name, table.names[p]);
    }
  }
  if (table.names.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument, "{}: {} property; at least two are compared",
                pool.name, table.names.size());
  }
  return table;
}

std::vector<HeadLabel> LabelHeads(const Store& store, const std::vector<HeadId>& heads,
                                  const PropertyTable& table, ArrayView<const float, 2> texts,
                                  const LabelOptions& options) {
  if (texts.dim(1) != store.basis().embed_width()) {
    throw Error(ErrorCode::kInvalidArgument, "labels: texts of width {}, an embedding of {}",
                texts.dim(1), store.basis().embed_width());
  }
  for (const std::vector<Index>& rows : table.texts) {
    if (std::ranges::any_of(rows, [&](Index t) { return t < 0 || t >= texts.dim(0); })) {
      throw Error(ErrorCode::kInvalidArgument, "labels: a table of more texts than the {} given",
                  texts.dim(0));
    }
  }
  if (options.most_images < 1) {
    throw Error(ErrorCode::kInvalidArgument, "labels: at most {} pictures", options.most_images);
  }
  const AskedPictures pictures = AskAll(store, table, texts, options);
  const Array<float, 2> ln = store.ReadLn();
  std::vector<HeadLabel> labels(heads.size());
  std::mutex mutex;
  Index done = 0;
  ParallelFor(options.threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    labels[at] = LabelHead(store, heads[at], ln, pictures, table);
    if (!options.progress) return;
    const std::lock_guard lock(mutex);
    options.progress(++done, static_cast<Index>(heads.size()));
  });
  return labels;
}

LabelFeatures FeaturesOf(const HeadLabel& label) {
  LabelFeatures features;
  if (label.label < 0) return features;
  constexpr double kLeast = 1e-3;    // shares below are noise
  constexpr double kMostMargin = 3;  // twenty times the rival; what is above says nothing more
  const PropertyShare& best = At(label.properties, label.label);
  const PropertyShare& rival = At(label.properties, label.rival);
  features.log_margin = std::min(
      kMostMargin, std::log(std::max(best.share.value, kLeast) / std::max(rival.beyond, kLeast)));
  features.log_share = std::log(std::max(best.share.value, kLeast));
  features.stability = label.stability;
  return features;
}

}  // namespace cliplens
