//! Texture space, visibility, fitting, filling, unwrapping and baking.
