#include "cliplens/analysis/label_questions.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "cliplens/analysis/random_texts.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kPictureHalves = 8;  // draws of half of the slices
constexpr Index kTextHalves = 4;     // draws of half of each property's texts, two and their rests
constexpr Index kChanceDraws = 4;    // sets of random texts of each size
constexpr Index kAnsweredTogether = 256;  // pictures

// Answers of all pictures to the questions, from embeddings [B, E] and the texts [M, E].
void Answer(ArrayView<const float, 2> embeddings, const Array<float, 2>& texts,
            const std::vector<Question*>& questions, int threads) {
  const Index images = embeddings.dim(0);
  for (Question* q : questions) {
    q->answers.groups = static_cast<Index>(q->rows.size());
    q->answers.group_of.resize(ToSize(images));
  }
  const Index tasks = (images + kAnsweredTogether - 1) / kAnsweredTogether;
  ParallelFor(threads, tasks, [&](Index task, int) {
    const Index begin = task * kAnsweredTogether;
    const Index end = std::min(images, begin + kAnsweredTogether);
    const Matrix scores =
        nn::Product(nn::Of(embeddings.rows(begin, end)), nn::Of(texts.view()).Transposed());
    for (Question* q : questions) {
      for (Index b = begin; b < end; ++b) {
        std::size_t best = 0;
        for (std::size_t g = 1; g < q->rows.size(); ++g) {
          if (scores(b - begin, q->rows[g]) > scores(b - begin, q->rows[best])) best = g;
        }
        At(q->answers.group_of, b) = static_cast<std::int32_t>(best);
      }
    }
  });
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

// Chooses the pictures and returns their embeddings [B, E].
Array<float, 2> ChoosePictures(const Store& store, const LabelOptions& options,
                               AskedPictures& pictures) {
  const Index images = store.info().images;
  const Index step = StrideFor(images, options.most_images);
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
  return embeddings;
}

void DrawSliceHalves(std::mt19937_64& engine, AskedPictures& pictures) {
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
}

void DrawTextHalves(const PropertyTable& table, std::mt19937_64& engine, AskedPictures& pictures) {
  for (Index d = 0; d < kTextHalves; d += 2) {
    std::vector<Question> halves, rests;
    for (const std::vector<Index>& rows : table.texts) {
      std::vector<Index> rest;
      halves.push_back({Half(rows, engine, &rest), {}});
      rests.push_back({std::move(rest), {}});
    }
    pictures.text_halves.push_back(std::move(halves));
    pictures.text_halves.push_back(std::move(rests));
  }
}

// Adds questions of random texts; returns all texts, the table's and then the random ones.
Array<float, 2> DrawChance(const PropertyTable& table, ArrayView<const float, 2> texts,
                           std::uint64_t seed, AskedPictures& pictures) {
  std::set<Index> sizes;
  for (const std::vector<Index>& rows : table.texts) sizes.insert(ChanceSize(rows.size()));
  const Index most = *sizes.rbegin();
  Array<float, 2> rows({texts.dim(0) + kChanceDraws * most, texts.dim(1)});
  std::ranges::copy(texts.flat(), rows.data());
  for (Index d = 0; d < kChanceDraws; ++d) {
    const Index first = texts.dim(0) + d * most;
    const Array<float, 2> random = RandomTexts(texts, most, seed + static_cast<std::uint64_t>(d));
    std::ranges::copy(random.flat(), rows.row(first).data());
    for (const Index size : sizes) {
      std::vector<Index> chosen(ToSize(size));
      std::iota(chosen.begin(), chosen.end(), first);
      pictures.chance[size].push_back({std::move(chosen), {}});
    }
  }
  return rows;
}

}  // namespace

// Powers of two: the next above, so that chance is not understated.
Index ChanceSize(std::size_t texts) {
  Index size = 2;
  while (size < static_cast<Index>(texts)) size *= 2;
  return size;
}

AskedPictures AskAll(const Store& store, const PropertyTable& table,
                     ArrayView<const float, 2> texts, const LabelOptions& options) {
  AskedPictures pictures;
  const Array<float, 2> embeddings = ChoosePictures(store, options, pictures);
  std::mt19937_64 engine(options.seed);
  DrawSliceHalves(engine, pictures);
  for (const std::vector<Index>& rows : table.texts) pictures.properties.push_back({rows, {}});
  DrawTextHalves(table, engine, pictures);
  const Array<float, 2> rows = DrawChance(table, texts, options.seed, pictures);

  std::vector<Question*> questions;
  const auto ask = [&](std::vector<Question>& all) {
    for (Question& q : all) questions.push_back(&q);
  };
  ask(pictures.properties);
  for (std::vector<Question>& half : pictures.text_halves) ask(half);
  for (auto& [size, draws] : pictures.chance) ask(draws);
  Answer(embeddings, rows, questions, options.threads);
  return pictures;
}

}  // namespace cliplens
