#include "cliplens/analysis/head_labels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <set>

#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/random_texts.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kLabelSlices = 8;    // of the pictures, by a hash of their paths
constexpr Index kPictureHalves = 8;  // draws of half of the slices
constexpr Index kTextHalves = 4;     // draws of half of each property's texts, two and their rests
constexpr Index kChanceDraws = 4;    // sets of random texts of each size
constexpr std::size_t kEvidence = 8;
constexpr Index kBlock = 256;  // pictures whose answers are computed together
// A second property explains, beyond the first, at least this part of what the first does.
constexpr double kSecond = 0.5;
// Coefficients of the confidence, a logistic function of LabelFeatures: bench/truth/calibrate.py.
constexpr double kIntercept = 1.73, kLogMargin = 0.62, kLogShare = 1.81, kStability = 4.64;

// The texts [M, E] that stand for each group: the answer is the one with the largest product.
struct Question {
  std::vector<Index> rows;  // of the matrix of all texts
  Grouping answers;
};

// Answers of all pictures to all questions, from embeddings [B, E] and the texts [M, E].
void Answer(ArrayView<const float, 2> embeddings, const Array<float, 2>& texts,
            std::vector<Question>& questions, int threads) {
  const Index images = embeddings.dim(0);
  for (Question& q : questions) {
    q.answers.groups = static_cast<Index>(q.rows.size());
    q.answers.of.resize(ToSize(images));
  }
  ParallelFor(threads, (images + kBlock - 1) / kBlock, [&](Index block, int) {
    const Index begin = block * kBlock;
    const Index end = std::min(images, begin + kBlock);
    const Matrix scores =
        nn::Product(nn::Of(embeddings.rows(begin, end)), nn::Of(texts.view()).Transposed());
    for (Question& q : questions) {
      for (Index b = begin; b < end; ++b) {
        std::size_t best = 0;
        for (std::size_t g = 1; g < q.rows.size(); ++g) {
          if (scores(b - begin, q.rows[g]) > scores(b - begin, q.rows[best])) best = g;
        }
        At(q.answers.of, b) = static_cast<std::int32_t>(best);
      }
    }
  });
}

Index LargestOf(const std::vector<double>& shares) {
  Index best = 0;
  for (std::size_t p = 1; p < shares.size(); ++p) {
    if (shares[p] > At(shares, best)) best = static_cast<Index>(p);
  }
  return best;
}

// Everything that is the same for all heads.
struct Pictures {
  std::vector<Index> index;                        // [B]: in the store
  std::vector<std::int32_t> slice;                 // [B]
  std::vector<std::vector<bool>> halves;           // [kPictureHalves][kLabelSlices]
  std::vector<Question> properties;                // of each property
  std::vector<std::vector<Question>> text_halves;  // [kTextHalves][properties]
  std::map<Index, std::vector<Question>> chance;   // by the number of random texts
};

// Sizes of random sets are powers of two: the next above, so that chance is not understated.
Index ChanceSize(std::size_t texts) {
  Index size = 2;
  while (size < static_cast<Index>(texts)) size *= 2;
  return size;
}

// A random half of `all`, in order; all of fewer than four. `rest` receives the others.
std::vector<Index> Half(const std::vector<Index>& all, std::mt19937_64& engine,
                        std::vector<Index>* rest) {
  if (all.size() < 4) {
    *rest = all;
    return all;
  }
  std::vector<Index> order = all;
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[engine() % (i + 1)]);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  rest->assign(middle, order.end());
  return {order.begin(), middle};
}

Pictures AskAll(const Store& store, const PropertyTable& table, ArrayView<const float, 2> texts,
                const LabelOptions& options) {
  Pictures pictures;
  const Index images = store.info().images;
  const Index step = (images + options.most_images - 1) / std::max<Index>(1, options.most_images);
  const std::vector<Item> items = store.ReadItems();
  const Array<float, 2> all = store.ReadEmbeddings();
  for (Index b = 0; b < images; b += step) {
    pictures.index.push_back(b);
    pictures.slice.push_back(static_cast<std::int32_t>(SliceOf(At(items, b).path, kLabelSlices)));
  }
  Array<float, 2> embeddings({static_cast<Index>(pictures.index.size()), all.dim(1)});
  for (std::size_t b = 0; b < pictures.index.size(); ++b) {
    std::ranges::copy(all.row(pictures.index[b]), embeddings.row(static_cast<Index>(b)).data());
  }

  std::mt19937_64 engine(options.seed);
  for (Index d = 0; d < kPictureHalves; d += 2) {
    std::vector<Index> slices(kLabelSlices);
    std::iota(slices.begin(), slices.end(), Index{0});
    std::vector<Index> rest;
    std::vector<bool> in(kLabelSlices, false);
    for (const Index s : Half(slices, engine, &rest)) At(in, s) = true;
    pictures.halves.push_back(in);
    in.flip();
    pictures.halves.push_back(std::move(in));
  }

  // Questions, and the rows of all texts that they ask of: the table's, then random ones.
  std::vector<Question> questions;
  for (const std::vector<Index>& rows : table.texts) questions.push_back({rows, {}});
  for (Index d = 0; d < kTextHalves; d += 2) {
    std::vector<Question> rests;
    for (const std::vector<Index>& rows : table.texts) {
      std::vector<Index> rest;
      questions.push_back({Half(rows, engine, &rest), {}});
      rests.push_back({std::move(rest), {}});
    }
    std::ranges::move(rests, std::back_inserter(questions));
  }
  std::set<Index> sizes;
  for (const std::vector<Index>& rows : table.texts) sizes.insert(ChanceSize(rows.size()));
  const Index most = *sizes.rbegin();
  Array<float, 2> rows({texts.dim(0) + kChanceDraws * most, texts.dim(1)});
  std::ranges::copy(texts.flat(), rows.data());
  for (Index d = 0; d < kChanceDraws; ++d) {
    const Index first = texts.dim(0) + d * most;
    const Array<float, 2> random =
        RandomTexts(texts, most, options.seed + static_cast<std::uint64_t>(d));
    std::ranges::copy(random.flat(), rows.row(first).data());
    for (const Index size : sizes) {
      std::vector<Index> chosen(ToSize(size));
      std::iota(chosen.begin(), chosen.end(), first);
      questions.push_back({std::move(chosen), {}});
    }
  }
  Answer(embeddings, rows, questions, options.threads);

  auto next = questions.begin();
  const auto take = [&](std::size_t count) {
    std::vector<Question> taken(std::make_move_iterator(next),
                                std::make_move_iterator(next + static_cast<std::ptrdiff_t>(count)));
    next += static_cast<std::ptrdiff_t>(count);
    return taken;
  };
  pictures.properties = take(table.names.size());
  for (Index d = 0; d < kTextHalves; ++d) pictures.text_halves.push_back(take(table.names.size()));
  for (Index d = 0; d < kChanceDraws; ++d) {
    for (const Index size : sizes) pictures.chance[size].push_back(take(1).front());
  }
  return pictures;
}

void PutEvidence(const HeadRows& rows, const Pictures& pictures, HeadLabel& head) {
  const Question& question = At(pictures.properties, head.label);
  const GroupSums sums = SumGroups(rows, question.answers);
  for (Index g = 0; g < question.answers.groups; ++g) {
    const double count = At(sums.counts, g);
    if (count == 0) continue;
    head.texts.push_back(
        {At(question.rows, g), sums.sums.row(g).squaredNorm() / count / rows.total});
  }
  for (Index b = 0; b < rows.y.rows(); ++b) {
    const Index g = At(question.answers.of, b);
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

HeadLabel LabelHead(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                    const Pictures& pictures, const PropertyTable& table) {
  HeadLabel head;
  head.id = id;
  head.properties.resize(table.names.size());
  const HeadRows rows = ReadHeadRows(store, id, ln, pictures.index);
  if (rows.total == 0) return head;

  std::map<Index, double> chance;  // the largest share by the number of random texts
  for (const auto& [size, draws] : pictures.chance) {
    double& largest = chance[size];
    for (const Question& random : draws) largest = std::max(largest, ShareOf(rows, random.answers));
  }
  std::vector<double> shares;
  std::vector<SlicedShare> sliced;
  for (std::size_t p = 0; p < table.names.size(); ++p) {
    PropertyShare& property = head.properties[p];
    sliced.emplace_back(rows, pictures.properties[p].answers, pictures.slice, kLabelSlices);
    property.share = sliced.back().Jackknife();
    property.chance = chance.at(ChanceSize(table.texts[p].size()));
    shares.push_back(property.share.value);
  }
  const Index first = LargestOf(shares);
  const PropertyShare& best = At(head.properties, first);

  // What the others explain beyond it, and it beyond the best of them.
  const auto answers = [&](Index p) -> const Grouping& {
    return At(pictures.properties, p).answers;
  };
  const auto beyond = [&](const HeadRows& rest, Index p) {
    return ShareOf(rest, answers(p)) * rest.total / rows.total;
  };
  const HeadRows rest = Within(rows, answers(first));
  for (Index p = 0; p < static_cast<Index>(table.names.size()); ++p) {
    if (p == first) continue;
    PropertyShare& property = At(head.properties, p);
    property.beyond = beyond(rest, p);
    if (head.rival < 0 || property.beyond > At(head.properties, head.rival).beyond) {
      head.rival = p;
    }
  }
  At(head.properties, first).beyond = beyond(Within(rows, answers(head.rival)), first);

  // Among many properties the best beats chance by luck; surely more than nothing it seldom is.
  if (best.share.value <= best.chance || best.share.low <= 0) return head;
  head.label = first;
  head.coverage = best.share.value;
  const PropertyShare& next = At(head.properties, head.rival);
  if (next.beyond >= kSecond * best.share.value && next.share.value > next.chance)
    head.second = head.rival;

  double same = 0;
  double draws = 0;
  for (const std::vector<bool>& half : pictures.halves) {
    std::vector<double> of_half;
    of_half.reserve(sliced.size());
    for (const SlicedShare& share : sliced) of_half.push_back(share.Share(half));
    same += LargestOf(of_half) == first ? 1 : 0;
    draws += 1;
  }
  for (const std::vector<Question>& half : pictures.text_halves) {
    std::vector<double> of_half;
    of_half.reserve(half.size());
    for (const Question& q : half) of_half.push_back(ShareOf(rows, q.answers));
    same += LargestOf(of_half) == first ? 1 : 0;
    draws += 1;
  }
  head.stability = same / draws;
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
  const Pictures pictures = AskAll(store, table, texts, options);
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

LabelScores ScoreLabels(const std::vector<HeadLabel>& labels, const PropertyTable& table,
                        const std::vector<TextSpanResult>& spans, const TextPool& pool) {
  constexpr std::size_t kTexts = 5;
  if (labels.size() != spans.size()) {
    throw Error(ErrorCode::kInvalidArgument, "label scores: {} labels, texts of {} heads",
                labels.size(), spans.size());
  }
  LabelScores scores;
  scores.heads = static_cast<Index>(labels.size());
  scores.association.assign(kTexts + 1, 0.0);
  scores.consistency.assign(kTexts + 1, 0.0);
  std::map<Index, Index> of_label;
  std::map<Index, Index> fully_consistent;
  for (std::size_t h = 0; h < labels.size(); ++h) {
    const Index label = labels[h].label;
    std::size_t consistent = 0;
    if (label >= 0) {
      ++scores.labelled;
      ++of_label[label];
      const std::size_t count = std::min(kTexts, spans[h].texts.size());
      for (std::size_t t = 0; t < count; ++t) {
        const auto& property = At(pool.properties, spans[h].texts[t].index);
        if (property && *property == At(table.names, label)) ++consistent;
      }
    }
    if (consistent == kTexts) ++fully_consistent[label];
    scores.consistency[consistent] += 1;
    for (std::size_t k = 0; k <= consistent; ++k) scores.association[k] += 1;
  }
  const auto heads = static_cast<double>(std::max<Index>(1, scores.heads));
  for (double& share : scores.consistency) share /= heads;
  for (double& share : scores.association) share /= heads;
  scores.properties = static_cast<Index>(of_label.size());
  if (scores.properties > 0) {
    scores.entanglement =
        static_cast<double>(scores.labelled) / static_cast<double>(scores.properties);
    scores.entanglement_by_heads = scores.entanglement / heads;
  }
  double repeated = 0;
  double full = 0;
  for (const auto& [label, count] : fully_consistent) {
    if (count > 1) repeated += 1;
    full += static_cast<double>(count);
  }
  if (full > 0) scores.repetition = repeated / full;
  return scores;
}

}  // namespace cliplens
