// Heat maps of one picture, with the names of texts and heads.
//
//   const TokenPass pass = PassOf(model, picture, threads);
//   const std::vector<HeatMapPanel> panels = PanelsOf(
//       model, pass, {.texts = {"a cat"}, .heads = heads, .heads_text = "heads all"}, threads);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// The picture that maps lie over, and how it was read.
struct MappedPicture {
  std::string path;
  Image rgb;
  GridRegion region;  // where the patches lie
  std::string model_name;
  std::string fingerprint;
  std::string precision;
  Index oriented = 0;  // OrientedIn() of the picture
  // What the model's sums have beside patches, heads, MLPs and INPUT.
  bool class_token = true;
  bool pools_class_token = true;  // the embedding is made of its row alone
  bool registers = false;
  bool pool_mlp = false;
  Level level = Level::kBlocks;  // that of the pool has no other MLPs and no INPUT
};
MappedPicture MappedPictureOf(const ClipModel& model, const Image& picture,
                              const std::string& path);

struct HeatMapPanel {
  std::string text;
  std::string against;        // what was subtracted; empty: nothing
  std::string heads_text;     // as people read it: "heads all"
  std::vector<HeadId> heads;  // whose map it is
  HeatMap map;
};

// Which texts to map, through which heads.
struct TextMaps {
  std::vector<std::string> texts;
  std::string against = {};             // a text whose map is subtracted; empty: none
  const Classifier* classes = nullptr;  // then the mean of their maps is subtracted, and a text
                                        // that names a class stands for it
  std::vector<HeadId> heads;
  std::string heads_text;
  bool truncate = false;  // texts longer than the context are cut
};
// A panel for each text. Throws as EmbedWords and HeatMaps.
std::vector<HeatMapPanel> PanelsOf(const ClipModel& model, const TokenPass& pass,
                                   const TextMaps& maps, int threads);

// A panel for each of the texts that TextSpan found, through its head alone.
//   span: file that `cliplens span --out` wrote; names: "L11.H3:2", as DirectionNamed takes them
// Throws as ReadSpanFile, DirectionNamed, EmbedWords and HeatMaps.
std::vector<HeatMapPanel> DirectionPanels(const ClipModel& model, const TokenPass& pass,
                                          const std::string& span,
                                          const std::vector<std::string>& names, int threads);

struct HeatMapReport {
  MappedPicture picture;
  std::vector<HeatMapPanel> panels;
  // The score of a patch that gets the full colour; nothing: the largest of all maps, rounded up.
  std::optional<double> scale;
};

}  // namespace cliplens
