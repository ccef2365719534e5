#include "cliplens/app/weight_words.h"

#include <algorithm>
#include <span>
#include <utility>

#include "cliplens/analysis/head_directions.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/shipped.h"
#include "cliplens/app/texts.h"
#include "cliplens/base/parallel.h"

namespace cliplens {
namespace {

// Directions that are put into words at a time, of both sides and signs.
constexpr Index kAtATime = 64;

// Rows [2n, E]: writes, and reads as the read-out shows them, unit rows.
Matrix ShownDirections(const HeadDirections& head, const Readout& readout) {
  const Index n = head.writes.rows();
  Matrix rows(2 * n, head.writes.cols());
  rows.topRows(n) = head.writes;
  rows.bottomRows(n) = readout.ProjectRows(head.reads);
  for (Index i = n; i < 2 * n; ++i) {
    // What the read-out does not show at all stays 0 and gets no texts.
    const double length = rows.row(i).norm();
    if (length > 0) rows.row(i) /= length;
  }
  return rows;
}

HeadWords Named(const HeadDirections& head, std::span<SparseWords> words) {
  const Vector shares = SharesOf(head.values);
  const Index n = head.writes.rows();
  HeadWords named{.id = head.id,
                  .values = head.values,
                  .effective_rank = EffectiveRank(shares),
                  .directions = {}};
  for (Index k = 0; k < n; ++k) {
    named.directions.push_back(
        {.value = head.values[k],
         .share = shares[k],
         .writes = {std::move(At(words, k)), std::move(At(words, 2 * n + k))},
         .reads = {std::move(At(words, n + k)), std::move(At(words, 3 * n + k))}});
  }
  return named;
}

// Words of some heads at once: their directions share the products with the texts.
void DescribeHeads(std::span<const HeadDirections> heads, const Readout& readout,
                   const TextAtoms& atoms, const CoherentOptions& options,
                   std::span<HeadWords> described) {
  Index rows = 0;
  for (const HeadDirections& head : heads) rows += 4 * head.writes.rows();
  Matrix directions(rows, atoms.columns.rows());
  rows = 0;
  for (const HeadDirections& head : heads) {
    const Matrix shown = ShownDirections(head, readout);
    directions.middleRows(rows, shown.rows()) = shown;
    directions.middleRows(rows + shown.rows(), shown.rows()) = -shown;
    rows += 2 * shown.rows();
  }
  std::vector<SparseWords> words = CoherentWords(atoms, directions, options);
  std::span<SparseWords> left = words;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const std::size_t own = ToSize(4 * heads[i].writes.rows());
    described[i] = Named(heads[i], left.first(own));
    left = left.subspan(own);
  }
}

}  // namespace

WeightWords DescribeWeights(const ClipModel& model, const WeightWordsChoice& choice,
                            const Work& work) {
  const std::vector<HeadId> heads = HeadsIn(model).Parse(choice.heads);
  const Readout& readout = model.image_readout();
  WeightWords report{.model_name = model.name(),
                     .fingerprint = model.fingerprint(),
                     .pool = ReadTextPool(TextsPath(choice.texts), work.on_blank),
                     .coherence = choice.words.coherence,
                     .heads = std::vector<HeadWords>(heads.size())};
  const TextAtoms atoms = AtomsOf(RowsOfPool(model, report.pool, choice.truncate, work));
  model.PrepareForImages(work.threads);
  const std::vector<HeadDirections> found =
      DirectionsOfHeads(model.image_tower(), readout, heads, choice.directions, work.threads);
  const std::size_t at_a_time = ToSize(std::max<Index>(1, kAtATime / (4 * choice.directions)));
  ProgressCount progress(work.Stage("heads"), std::ssize(heads));
  const Index tasks = static_cast<Index>((heads.size() + at_a_time - 1) / at_a_time);
  ParallelFor(work.threads, tasks, [&](Index task, int) {
    const std::size_t begin = ToSize(task) * at_a_time;
    const std::size_t count = std::min(at_a_time, heads.size() - begin);
    DescribeHeads(std::span(found).subspan(begin, count), readout, atoms, choice.words,
                  std::span(report.heads).subspan(begin, count));
    progress.Add(static_cast<Index>(count));
  });
  return report;
}

}  // namespace cliplens
