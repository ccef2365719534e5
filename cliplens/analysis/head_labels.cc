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

// What two properties both explain counts as far as it exceeds this many standard errors of a
// share.
constexpr double kErrors = 3;

Index LargestOf(const std::vector<double>& shares) {
  Index best = 0;
  for (std::size_t p = 1; p < shares.size(); ++p) {
    if (shares[p] > At(shares, best)) best = static_cast<Index>(p);
  }
  return best;
}

Index LargestNet(const HeadLabel& head) {
  std::vector<double> net;
  for (const PropertyShare& property : head.properties) net.push_back(property.net);
  return LargestOf(net);
}

double GroupsOf(const Grouping& grouping) {
  std::vector<bool> seen(ToSize(grouping.groups), false);
  for (const std::int32_t g : grouping.group_of) At(seen, g) = true;
  return static_cast<double>(std::ranges::count(seen, true));
}

// How a head varies.
struct HeadSpread {
  Matrix covariance;      // [r, r], times the number of pictures
  double directions = 0;  // the effective number in which it varies
};
HeadSpread SpreadOf(const HeadRows& rows) {
  HeadSpread spread{nn::Product(nn::Of(rows.y).Transposed(), nn::Of(rows.y))};
  spread.directions = rows.total * rows.total / spread.covariance.squaredNorm();
  return spread;
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

// Sets share, chance and net share of each property, the latter with `shared` 0; returns the shares
// on parts of the pictures.
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
    property.net = property.share.value - TurnedPart(pictures.evidence[p]) * property.turned;
  }
  return sliced;
}

const Grouping& Answers(const AskedPictures& pictures, Index p) {
  return At(pictures.properties, p).answers;
}

// What property p explains of rows without the means of another's groups, as a share of `rows`.
double BeyondOf(const HeadRows& rest, const AskedPictures& pictures, Index p,
                const HeadRows& rows) {
  return ShareOf(rest, Answers(pictures, p)) * rest.total / rows.total;
}

// Sets what the other properties explain beyond the guess, and the rival among them.
void PutRival(const HeadRows& rows, const AskedPictures& pictures, HeadLabel& head) {
  const HeadRows rest = Within(rows, Answers(pictures, head.guess));
  head.rival = -1;
  for (Index p = 0; p < std::ssize(head.properties); ++p) {
    if (p == head.guess) continue;
    PropertyShare& property = At(head.properties, p);
    property.beyond = BeyondOf(rest, pictures, p, rows);
    if (head.rival < 0 || property.beyond > At(head.properties, head.rival).beyond) head.rival = p;
  }
}

// What the guess shares with a property of better evidence, which would be ahead without it.
struct Overlap {
  Index with = -1;   // of several the one of the largest net share; -1: none
  double share = 0;  // of the head's variance, beyond what may be chance
};
Overlap OverlapOf(const AskedPictures& pictures, const HeadSpread& spread, const HeadLabel& head) {
  const auto images = static_cast<double>(pictures.index.size());
  const auto groups = [&](Index p) { return GroupsOf(Answers(pictures, p)); };
  const auto error = [&](Index p) { return ErrorOfShare(images, groups(p), spread.directions); };
  const auto owed = [&](Index p) { return TurnedPart(At(pictures.evidence, p)); };
  const PropertyShare& guess = At(head.properties, head.guess);
  const double freedom = images - groups(head.guess);
  Overlap found;
  if (freedom <= 0) return found;
  for (Index p = 0; p < std::ssize(head.properties); ++p) {
    if (p == head.guess || owed(p) >= owed(head.guess)) continue;
    const PropertyShare& other = At(head.properties, p);
    // The means of the guess's groups take a part of everything that is left; corrected for it.
    const double overlap = other.share.value - other.beyond * (images - 1) / freedom -
                           kErrors * std::max(error(head.guess), error(p));
    if (overlap <= 0 || other.net <= guess.net - overlap) continue;
    if (found.with < 0 || other.net > At(head.properties, found.with).net) found = {p, overlap};
  }
  return found;
}

// Sets the guess, the rival, and what each property explains beyond the guess. What two properties
// both explain belongs to the one whose texts describe the pictures better: where this decides
// between them, the other's net share is reduced by it, once.
void PutGuess(const HeadRows& rows, const AskedPictures& pictures, const HeadSpread& spread,
              HeadLabel& head) {
  while (true) {
    head.guess = LargestNet(head);
    PutRival(rows, pictures, head);
    PropertyShare& guess = At(head.properties, head.guess);
    const Overlap overlap = OverlapOf(pictures, spread, head);
    if (overlap.with < 0 || guess.shared > 0) break;
    guess.shared = overlap.share;
    guess.net -= overlap.share;
  }
  At(head.properties, head.guess).beyond =
      BeyondOf(Within(rows, Answers(pictures, head.rival)), pictures, head.guess, rows);
}

// The share of the halves of pictures and of texts whose guess is that of all.
double Stability(const HeadRows& rows, const AskedPictures& pictures,
                 const std::vector<SlicedShare>& sliced, const HeadLabel& head) {
  double same = 0;
  const auto count = [&](const auto& share_of) {
    std::vector<double> net;
    for (std::size_t p = 0; p < sliced.size(); ++p) {
      const PropertyShare& property = head.properties[p];
      net.push_back(share_of(p) - (property.share.value - property.net));
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

LabelFigures FiguresOf(const HeadSpread& spread, const Matrix& from_text,
                       const AskedPictures& pictures, const HeadLabel& head) {
  const auto images = static_cast<double>(pictures.index.size());
  const auto error = [&](Index p) {
    return ErrorOfShare(images, GroupsOf(Answers(pictures, p)), spread.directions);
  };
  // With what they gave up: a guess that owes its place to an overlap has no lead.
  const auto whole_net = [&](Index p) {
    return At(head.properties, p).net + At(head.properties, p).shared;
  };
  Index next = -1;
  for (Index p = 0; p < std::ssize(head.properties); ++p) {
    if (p == head.guess) continue;
    if (next < 0 || whole_net(p) > whole_net(next)) next = p;
  }
  const PropertyShare& guess = At(head.properties, head.guess);
  const Matrix& texts = At(pictures.centred, head.guess);
  const Matrix in_head = nn::Product(nn::Of(texts), nn::Of(from_text).Transposed());
  return {.net = guess.net,
          .next_net = whole_net(next),
          .share = guess.share.value,
          .error = error(head.guess),
          .next_error = error(next),
          .stability = head.stability,
          .head_alignment = AlignmentOf(in_head, spread.covariance, texts.cols()),
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
  const HeadSpread spread = SpreadOf(rows);
  PutGuess(rows, pictures, spread, head);
  const PropertyShare& best = At(head.properties, head.guess);
  head.coverage = best.share.value;
  const PropertyShare& next = At(head.properties, head.rival);
  if (next.beyond >= kSecond * best.share.value && next.share.value > next.chance) {
    head.second = head.rival;
  }
  head.stability = Stability(rows, pictures, sliced, head);
  head.figures = FiguresOf(spread, coordinates.from_text, pictures, head);
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
  const Array<float, 2> ln = store.ReadLn(pictures.index);
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
