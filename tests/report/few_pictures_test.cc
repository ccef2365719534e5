#include "cliplens/report/few_pictures.h"

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(FewPicturesLine, NamesBothNumbers) {
  EXPECT_EQ(FewPicturesLine(27, EnoughForSpan(35), "shares are of these"),
            "only 27 pictures: shares are of these; 105 or more would do (docs/pictures.md)\n");
  EXPECT_EQ(FewPicturesLine(1, 2, "x"),
            "only 1 picture: x; 2 or more would do (docs/pictures.md)\n");
  EXPECT_EQ(FewPicturesLine(105, EnoughForSpan(35), "shares are of these"), "");
}

}  // namespace
}  // namespace cliplens
