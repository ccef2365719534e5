// The library in one header: what programs call, in the order in which an image travels.
//
//   const ClipModel model = ClipModel::Load("models/pictureworld");
//   const std::unique_ptr<ImageSet> pictures = OpenImageSet("pictures/");
//   DecomposeOptions options;
//   options.out = "store/";
//   const DecomposeResult result = Decompose(model, *pictures, options);
//   fmt::print("{} pictures, off by {:.0e} at most\n", result.images, result.certificate.max);
//
// find_package(cliplens) and target_link_libraries(app cliplens::cliplens) are all that a program's
// CMakeLists.txt needs (docs/library.md). cliplens/README.md walks through the folders. Headers
// that are not named here serve these.
#pragma once

// base: errors, arrays, names of components, parallel loops, version.
#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/error.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/parallel.h"
#include "cliplens/base/progress.h"
#include "cliplens/base/version.h"

// io: files and formats.
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/io/tensor_file.h"
#include "cliplens/io/text_table.h"

// dataset: pictures, labels and texts.
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"

// model: pictures and texts to unit vectors.
#include "cliplens/model/captures.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/encoder.h"
#include "cliplens/model/hub_cache.h"
#include "cliplens/model/picture_loop.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/model/readout.h"
#include "cliplens/model/text_cache.h"
#include "cliplens/model/tokenizer.h"

// decompose: a forward pass to factors, stores, edits.
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/export.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/decompose/verify.h"

// neurons: what single neurons do, and stores of it.
#include "cliplens/neurons/collect.h"
#include "cliplens/neurons/neuron_directions.h"
#include "cliplens/neurons/neuron_id.h"
#include "cliplens/neurons/neuron_paths.h"
#include "cliplens/neurons/neuron_store.h"
#include "cliplens/neurons/neuron_verify.h"

// analysis: one header per method.
#include "cliplens/analysis/ablation.h"
#include "cliplens/analysis/answer_change.h"
#include "cliplens/analysis/common_pictures.h"
#include "cliplens/analysis/component_change.h"
#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/cue.h"
#include "cliplens/analysis/explanation.h"
#include "cliplens/analysis/extremes.h"
#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/groups.h"
#include "cliplens/analysis/head_directions.h"
#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/head_match.h"
#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/label_confidence.h"
#include "cliplens/analysis/label_scores.h"
#include "cliplens/analysis/label_truth.h"
#include "cliplens/analysis/live_edit.h"
#include "cliplens/analysis/matching_pursuit.h"
#include "cliplens/analysis/neuron_ablation.h"
#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/analysis/neuron_weights.h"
#include "cliplens/analysis/random_texts.h"
#include "cliplens/analysis/reconstruction.h"
#include "cliplens/analysis/search.h"
#include "cliplens/analysis/segmentation.h"
#include "cliplens/analysis/sparse_words.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/analysis/token_scores.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/analysis/zero_shot.h"

// app: what a program opens and asks for by name.
#include "cliplens/app/accuracy.h"
#include "cliplens/app/comparison.h"
#include "cliplens/app/cues.h"
#include "cliplens/app/description.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/explanations.h"
#include "cliplens/app/groups.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/heat_maps.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/masks.h"
#include "cliplens/app/matches.h"
#include "cliplens/app/models.h"
#include "cliplens/app/neuron_pictures.h"
#include "cliplens/app/neuron_weights.h"
#include "cliplens/app/neurons.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/pull.h"
#include "cliplens/app/report_content.h"
#include "cliplens/app/search.h"
#include "cliplens/app/shipped.h"
#include "cliplens/app/spaces.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/weight_words.h"

// report: results as tables, JSON, pictures and pages.
#include "cliplens/report/html_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"
