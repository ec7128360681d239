"""Extensions of the site: what it reads out of the code, so that the two cannot disagree."""
