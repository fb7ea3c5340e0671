DATABASE_URL = "postgresql+psycopg2://shop@db.example/shop"
