from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

Session = sessionmaker(create_engine("postgresql+psycopg2://shop@db.example/shop"))
