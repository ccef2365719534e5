#include "cliplens/analysis/head_labels.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/label_questions.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr std::size_t kEvidence = 8;
// A second property explains, beyond the first, at least this part of what the first does.
constexpr double kSecond = 0.5;
constexpr double kLeastConfidence = 0.5;  // of a label

// What of a property's share its answers owe to chance.
double Owed(const PropertyShare& property, const TextEvidence& evidence) {
  return TurnedPart(evidence) * property.turned;
}

Index LargestOf(const std::vector<double>& shares) {
  Index best = 0;
  for (std::size_t p = 1; p < shares.size(); ++p) {
    if (shares[p] > At(shares, best)) best = static_cast<Index>(p);
  }
  return best;
}

void PutEvidence(const HeadRows& rows, const AskedPictures& pictures, HeadLabel& head) {
  const Question& question = At(pictures.properties, head.guess);
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

// Sets share, chance and net share of each property; returns the shares on parts of the pictures.
std::vector<SlicedShare> PutShares(const HeadRows& rows, const AskedPictures& pictures,
                                   HeadLabel& head) {
  std::vector<SlicedShare> sliced;
  for (std::size_t p = 0; p < head.properties.size(); ++p) {
    PropertyShare& property = head.properties[p];
    sliced.emplace_back(rows, pictures.properties[p].answers, pictures.slice, kLabelSlices);
    property.share = sliced.back().Jackknife();
    for (const std::vector<Question>& turned : pictures.turned) {
      const double share = ShareOf(rows, turned[p].answers);
      property.turned += share / static_cast<double>(pictures.turned.size());
      property.chance = std::max(property.chance, share);
    }
    property.net = property.share.value - Owed(property, pictures.evidence[p]);
  }
  return sliced;
}

// Sets what the other properties explain beyond the guess, the rival among them, and what the
// guess explains beyond the rival.
void PutRival(const HeadRows& rows, const AskedPictures& pictures, HeadLabel& head) {
  const auto answers = [&](Index p) -> const Grouping& {
    return At(pictures.properties, p).answers;
  };
  const auto beyond = [&](const HeadRows& rest, Index p) {
    return ShareOf(rest, answers(p)) * rest.total / rows.total;
  };
  const HeadRows rest = Within(rows, answers(head.guess));
  for (Index p = 0; p < static_cast<Index>(head.properties.size()); ++p) {
    if (p == head.guess) continue;
    PropertyShare& property = At(head.properties, p);
    property.beyond = beyond(rest, p);
    if (head.rival < 0 || property.beyond > At(head.properties, head.rival).beyond) head.rival = p;
  }
  At(head.properties, head.guess).beyond = beyond(Within(rows, answers(head.rival)), head.guess);
}

// The share of the halves of pictures and of texts whose guess is that of all.
double Stability(const HeadRows& rows, const AskedPictures& pictures,
                 const std::vector<SlicedShare>& sliced, const HeadLabel& head) {
  double same = 0;
  const auto count = [&](const auto& share_of) {
    std::vector<double> net;
    for (std::size_t p = 0; p < sliced.size(); ++p) {
      net.push_back(share_of(p) - Owed(head.properties[p], pictures.evidence[p]));
    }
    same += LargestOf(net) == head.guess ? 1 : 0;
  };
  for (const std::vector<bool>& half : pictures.halves) {
    count([&](std::size_t p) { return sliced[p].Share(half); });
  }
  for (const std::vector<Question>& half : pictures.text_halves) {
    count([&](std::size_t p) { return ShareOf(rows, half[p].answers); });
  }
  return same / static_cast<double>(pictures.halves.size() + pictures.text_halves.size());
}

double GroupsOf(const Grouping& grouping) {
  std::vector<bool> seen(ToSize(grouping.groups), false);
  for (const std::int32_t g : grouping.group_of) At(seen, g) = true;
  return static_cast<double>(std::ranges::count(seen, true));
}

LabelFigures FiguresOf(const HeadRows& rows, const Matrix& from_text, const AskedPictures& pictures,
                       const HeadLabel& head) {
  const Matrix covariance = nn::Product(nn::Of(rows.y).Transposed(), nn::Of(rows.y));
  const double directions = rows.total * rows.total / covariance.squaredNorm();
  const auto images = static_cast<double>(rows.y.rows());
  const auto error = [&](Index p) {
    return ErrorOfShare(images, GroupsOf(At(pictures.properties, p).answers), directions);
  };
  Index next = -1;
  for (Index p = 0; p < std::ssize(head.properties); ++p) {
    if (p == head.guess) continue;
    if (next < 0 || At(head.properties, p).net > At(head.properties, next).net) next = p;
  }
  const PropertyShare& guess = At(head.properties, head.guess);
  const Matrix& texts = At(pictures.centred, head.guess);
  const Matrix in_head = nn::Product(nn::Of(texts), nn::Of(from_text).Transposed());
  return {.net = guess.net,
          .next_net = At(head.properties, next).net,
          .share = guess.share.value,
          .error = error(head.guess),
          .next_error = error(next),
          .stability = head.stability,
          .head_alignment = AlignmentOf(in_head, covariance, texts.cols()),
          .text_alignment = At(pictures.evidence, head.guess).alignment,
          .text_peak = At(pictures.evidence, head.guess).peak,
          .table_alignment = pictures.table_alignment,
          .table_peak = pictures.table_peak,
          .images = images,
          .properties = static_cast<double>(head.properties.size()),
          .texts = static_cast<double>(texts.rows())};
}

HeadLabel LabelHead(const Store& store, HeadId id, ArrayView<const float, 2> ln,
                    const AskedPictures& pictures) {
  HeadLabel head;
  head.id = id;
  head.properties.resize(pictures.properties.size());
  const HeadCoordinates coordinates = CoordinatesOf(store.basis().at(id));
  const HeadRows rows = ReadHeadRows(store, id, ln, pictures.index, coordinates);
  if (rows.total == 0) return head;
  const std::vector<SlicedShare> sliced = PutShares(rows, pictures, head);
  std::vector<double> net;
  for (const PropertyShare& property : head.properties) net.push_back(property.net);
  head.guess = LargestOf(net);
  PutRival(rows, pictures, head);
  const PropertyShare& best = At(head.properties, head.guess);
  head.coverage = best.share.value;
  const PropertyShare& next = At(head.properties, head.rival);
  if (next.beyond >= kSecond * best.share.value && next.share.value > next.chance) {
    head.second = head.rival;
  }
  head.stability = Stability(rows, pictures, sliced, head);
  head.figures = FiguresOf(rows, coordinates.from_text, pictures, head);
  head.confidence = ConfidenceOf(head.figures);
  if (head.confidence >= kLeastConfidence) head.label = head.guess;
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
  if (table.texts.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument, "labels: {} property; at least two are compared",
                table.texts.size());
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
    labels[at] = LabelHead(store, heads[at], ln, pictures);
    if (!options.progress) return;
    const std::lock_guard lock(mutex);
    options.progress(++done, static_cast<Index>(heads.size()));
  });
  return labels;
}

}  // namespace cliplens
